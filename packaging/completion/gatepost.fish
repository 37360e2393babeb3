# Completion of gatepost(8) for fish.

complete -c gatepost -f

set -l main 'not __fish_seen_subcommand_from passwd'
complete -c gatepost -n __fish_use_subcommand -a passwd -d 'Make a line for a users file'
complete -c gatepost -n $main -s h -l help -d 'Help'
complete -c gatepost -n $main -s '?' -d 'Help'
complete -c gatepost -n $main -s v -l version -d 'Version'
complete -c gatepost -n $main -s V -d 'Version and how it was built'
complete -c gatepost -n $main -s t -d 'Test the configuration'
complete -c gatepost -n $main -s T -d 'Test the configuration and print it'
complete -c gatepost -n $main -s q -d 'Only errors while testing'
complete -c gatepost -n $main -s s -x -a 'stop quit reopen reload' -d 'Send a signal to a running gatepost'
complete -c gatepost -n $main -s p -x -a '(__fish_complete_directories)' -d 'Prefix of relative paths'
complete -c gatepost -n $main -s e -r -F -d 'Error log'
complete -c gatepost -n $main -s c -r -F -d 'Configuration'
complete -c gatepost -n $main -s g -x -d 'Directives outside the configuration file'

set -l passwd '__fish_seen_subcommand_from passwd'
complete -c gatepost -n $passwd -s a -l algorithm -x -a 'argon2 bcrypt sha512 plain' -d 'How the password is stored'
complete -c gatepost -n $passwd -s h -l help -d 'Help'
