//! What is said of certificates, keys and all that OpenSSL looks at.

use crate::runner::{At, Row, differs, row, since_version};

pub(crate) const ROWS: &[Row] = &[
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate nosuch; ssl_certificate_key key.pem;",
        &[
            "[emerg] cannot load certificate \"%/nosuch\": BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen(%/nosuch, r) error:10000080:BIO routines::no such file)",
        ],
    ),
    row(
        At::Server,
        "starttls on; ssl_certificate cert.pem; ssl_certificate_key nosuch;",
        &[
            "[emerg] cannot load certificate key \"%/nosuch\": BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen(%/nosuch, r) error:10000080:BIO routines::no such file)",
        ],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate key.pem; ssl_certificate_key key.pem;",
        &[
            "[emerg] cannot load certificate \"%/key.pem\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)",
        ],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate data:x; ssl_certificate_key key.pem;",
        &[
            "[emerg] cannot load certificate \"data:x\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)",
        ],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key cert.pem;",
        &[
            "[emerg] cannot load certificate key \"%/cert.pem\": PEM_read_bio_PrivateKey() failed (SSL: error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM)",
        ],
    ),
    differs(
        "keys are files",
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key engine:x:y;",
        &[
            "[emerg] cannot load certificate key \"engine:x:y\": loading \"engine:...\" certificate keys is not supported",
        ],
    ),
    differs(
        "keys are files",
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key store:x;",
        &["[emerg] cannot load certificate key \"store:x\": loading \"store:...\" certificate keys is not supported"],
    ),
    // One mistake is told once, however many servers make it.
    row(
        At::Mail,
        "ssl_certificate nosuch; ssl_certificate_key key.pem; starttls on; server { listen 14311; protocol imap; }",
        &[
            "[emerg] cannot load certificate \"%/nosuch\": BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen(%/nosuch, r) error:10000080:BIO routines::no such file)",
        ],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_ciphers nosuch;",
        &["[emerg] SSL_CTX_set_cipher_list(\"nosuch\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)"],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_ecdh_curve nosuch;",
        &[
            "[emerg] SSL_CTX_set1_curves_list(\"nosuch\") failed (SSL: error:0A080106:SSL routines::passed invalid argument:group 'nosuch' cannot be set)",
        ],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_dhparam cert.pem;",
        &[
            "[emerg] PEM_read_bio_DHparams(\"%/cert.pem\") failed (SSL: error:0480006C:PEM routines::no start line:Expecting: DH PARAMETERS)",
        ],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_conf_command Options nosuch;",
        &[
            "[emerg] SSL_CONF_cmd(\"Options\", \"nosuch\") failed (SSL: error:0A000180:SSL routines::bad value:cmd=Options, value=nosuch)",
        ],
    ),
    // Of no use to a server that asks for no certificates.
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_crl nosuch; \
         ssl_client_certificate nosuch; ssl_trusted_certificate nosuch;",
        &[],
    ),
    since_version(
        (1, 27, 2),
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_crl cert.pem; \
         ssl_verify_client optional_no_ca;",
        &[
            "[emerg] cannot load CRL \"%/cert.pem\": PEM_read_bio_X509_CRL() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: X509 CRL)",
        ],
    ),
    since_version(
        (1, 27, 2),
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_verify_client on; \
         ssl_client_certificate key.pem;",
        &[
            "[emerg] cannot load certificate \"%/key.pem\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)",
        ],
    ),
    differs(
        "nginx names the end of the mail block",
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_session_ticket_key nosuch;",
        &["[emerg] open() \"%/nosuch\" failed (2: No such file or directory)"],
    ),
    differs(
        "nginx names the end of the mail block",
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_session_ticket_key cert.pem;",
        &["[emerg] \"%/cert.pem\" must be 48 or 80 bytes"],
    ),
    since_version(
        (1, 29, 1),
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_certificate_compression on;",
        &["[warn] \"ssl_certificate_compression\" is not supported on this platform, ignored"],
    ),
];
