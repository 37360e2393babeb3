//! Directives that mean nothing here. They are checked as nginx checks them, and warned about by name.

use std::time::Duration;

use gatepost_conf::{address, value};

use super::call::{Call, Outcome};
use super::settings::MainSettings;

/// Those that were met.
#[derive(Debug, Default)]
pub struct Ignored {
    names: Vec<String>,
    thread_pools: Vec<String>,
}

/// Warns about a directive that was found to be in order.
pub fn warn(call: &mut Call<'_>) {
    let message = format!("the \"{}\" directive has no effect in gatepost, ignored", call.name);
    call.warn(message);
}

/// Checks a directive that may stand once.
fn once(main: &mut MainSettings, call: &mut Call<'_>, check: impl FnOnce(&Call<'_>) -> Outcome) -> Outcome {
    if main.ignored.names.iter().any(|name| name == call.name) {
        return Err(call.wrong("is duplicate"));
    }
    check(call)?;
    main.ignored.names.push(call.name.to_string());
    warn(call);
    Ok(())
}

/// `name on|off;`
pub fn flag(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    once(main, call, |call| call.flag(&mut None))
}

/// `name time;`
pub fn milliseconds(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    once(main, call, |call| call.milliseconds(&mut None::<Duration>))
}

/// `name number;`
pub fn number(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    once(main, call, |call| call.number(&mut None))
}

/// `name anything;`
pub fn text(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    once(main, call, |_| Ok(()))
}

/// `debug_points stop|abort;`
pub fn debug_points(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    once(main, call, |call| call.choice(&mut None, &[("stop", ()), ("abort", ())]))
}

/// `use method;`
pub fn event_method(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    once(main, call, |call| match call.args[0].as_str() {
        "epoll" | "poll" | "select" => Ok(()),
        other => Err(format!("invalid event type \"{other}\"")),
    })
}

/// `load_module file;`, which must stand before every block.
pub fn load_module(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    if !main.blocks.is_empty() {
        return Err(call.wrong("is specified too late"));
    }
    warn(call);
    Ok(())
}

/// `thread_pool name threads=number [max_queue=number];`
pub fn thread_pool(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    let name = &call.args[0];
    if main.ignored.thread_pools.contains(name) {
        return Err(format!("duplicate thread pool \"{name}\""));
    }
    let mut threads = false;
    for text in &call.args[1..] {
        match text.split_once('=') {
            Some(("threads", number)) => {
                threads = value::number(number).is_some_and(|number| number != 0);
                if !threads {
                    return Err(format!("invalid threads value \"{text}\""));
                }
            }
            Some(("max_queue", number)) if value::number(number).is_none() => {
                return Err(format!("invalid max_queue value \"{text}\""));
            }
            _ => {}
        }
    }
    if !threads {
        return Err(format!("\"{}\" must have \"threads\" parameter", call.name));
    }
    main.ignored.thread_pools.push(name.clone());
    warn(call);
    Ok(())
}

/// `debug_connection address|CIDR|unix:;`
pub fn debug_connection(_: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    let text = &call.args[0];
    match address::cidr(text) {
        Some(cidr) if cidr.low_bits => call.warn(format!("low address bits of {text} are meaningless")),
        Some(_) => {}
        None if text == "unix:" || !call.system.resolve(text).is_empty() => {}
        None => return Err(format!("host not found in debug_connection \"{text}\"")),
    }
    warn(call);
    Ok(())
}

/// `proxy on|off;`, which does nothing in nginx either.
pub fn proxy(mail: &mut super::settings::MailSettings, call: &mut Call<'_>) -> Outcome {
    call.flag(&mut mail.proxy)?;
    warn(call);
    Ok(())
}
