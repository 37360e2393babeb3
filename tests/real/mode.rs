//! The ways in which the same test runs.

use crate::front::Security;
use crate::subject;

/// Who decides on logins, and what is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `auth_http`, no TLS.
    AuthHttp,
    /// `auth_users_file`, which nginx lacks; no TLS.
    UsersFile,
    /// `auth_http`; TLS from the first byte towards clients and, by Gatepost, towards back ends.
    Tls,
    /// `auth_http`; STARTTLS towards clients, who have to use it, and, by Gatepost, towards back ends.
    StartTls,
}

impl Mode {
    /// Whether the authentication server is asked.
    pub(crate) fn asks(self) -> bool {
        self != Mode::UsersFile
    }

    /// Towards clients.
    pub(crate) fn front(self) -> Security {
        match self {
            Mode::AuthHttp | Mode::UsersFile => Security::Plain,
            Mode::Tls => Security::Tls,
            Mode::StartTls => Security::StartTls,
        }
    }

    /// Towards back ends. nginx has no TLS there.
    pub(crate) fn back(self) -> Security {
        if subject::is_nginx() { Security::Plain } else { self.front() }
    }
}

/// Makes of each function of [`Mode`] a test for each way to decide on logins that the subject has.
macro_rules! with_all_logins {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            $crate::mode::tests!($test, auth_http: AuthHttp, users_file: UsersFile);
        }
    )+};
}

/// Makes of each function of [`Mode`] a test for each mode that the subject has.
macro_rules! in_all_modes {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            $crate::mode::tests!($test, auth_http: AuthHttp, users_file: UsersFile, tls: Tls, starttls: StartTls);
        }
    )+};
}

/// Makes of each function of [`Mode`] a test of `auth_http`, with and without TLS.
macro_rules! with_and_without_tls {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            $crate::mode::tests!($test, auth_http: AuthHttp, tls: Tls);
        }
    )+};
}

/// For the macros above.
macro_rules! tests {
    ($test:ident, $($name:ident: $mode:ident),+) => {
        use $crate::mode::Mode;
        use $crate::subject;
        $(
            #[test]
            fn $name() {
                if Mode::$mode != Mode::UsersFile || !subject::is_nginx() {
                    super::$test(Mode::$mode);
                }
            }
        )+
    };
}

pub(crate) use {in_all_modes, tests, with_all_logins, with_and_without_tls};
