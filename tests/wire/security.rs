//! Classes of vulnerabilities of mail proxies, from published advisories; each module is one class.

mod resumption_across_servers;
mod starttls_command_injection;
mod upstream_injection_and_downgrade;
