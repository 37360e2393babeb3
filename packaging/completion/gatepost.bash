# Completion of gatepost(8) for bash.

_gatepost() {
    local current=$2 previous=$3
    COMPREPLY=()
    if [[ ${COMP_WORDS[1]} == passwd && $COMP_CWORD -gt 1 ]]; then
        case $previous in
            -a | --algorithm) _gatepost_words "argon2 bcrypt sha512 plain" "$current" ;;
            *) _gatepost_words "-a --algorithm -h --help" "$current" ;;
        esac
        return
    fi
    case $previous in
        -s) _gatepost_words "stop quit reopen reload" "$current" ;;
        -p) _gatepost_files -d "$current" ;;
        -c | -e) _gatepost_files -f "$current" ;;
        -g) ;;
        *)
            local options="-? -h -v -V -t -T -q -s -p -e -c -g --help --version"
            [[ $COMP_CWORD -gt 1 ]] || options+=" passwd"
            _gatepost_words "$options" "$current"
            ;;
    esac
}

_gatepost_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_gatepost_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

complete -F _gatepost gatepost
