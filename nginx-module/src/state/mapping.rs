//! The making of the zone: configured by a directive, mapped by nginx, laid out once,
//! and kept over reloads.

use std::ffi::c_void;
use std::ptr;

use ngx::ffi::{
    NGX_ERROR, NGX_LOG_EMERG, NGX_LOG_NOTICE, NGX_OK, ngx_conf_t, ngx_int_t, ngx_shared_memory_add,
    ngx_shm_zone_t, ngx_slab_calloc, ngx_slab_pool_t, ngx_str_t,
};
use ngx::ngx_log_error;
use seckill_core::shared::{ZoneNeeds, ZonePlan, plan};

use super::zone::{Shared, Zone};

/// The zone on its way from the directive to the workers. Each step is made from
/// the one before it, and only a zone that is ready gives access to its memory.
#[derive(Default)]
pub(crate) enum SharedZone {
    /// The configuration names no zone.
    #[default]
    Unset,
    /// `seckill_zone` was read.
    Configured {
        /// The zone's name, in the configuration's pool.
        name: ngx_str_t,
        /// Its size.
        bytes: usize,
    },
    /// nginx maps the memory when it has read the whole configuration.
    Requested,
    /// Mapped and laid out: workers start with this.
    Ready(Zone),
}

impl SharedZone {
    /// Takes name and size from the directive. The name's text lives in the
    /// configuration's pool.
    ///
    /// # Errors
    /// A sentence: a zone was configured before, or this one is too small.
    pub(crate) fn configure(&mut self, name: ngx_str_t, bytes: usize) -> Result<(), String> {
        let Self::Unset = self else {
            return Err("is given twice; one zone serves all".to_owned());
        };
        divide(bytes)?;
        *self = Self::Configured { name, bytes };
        Ok(())
    }

    /// Requests the memory of a configured zone from nginx; in any other state
    /// there is nothing to request.
    ///
    /// # Errors
    /// A sentence that names the zone: another module, or a limit by key, has one of this
    /// name.
    ///
    /// # Safety
    /// `cf` is the configuration being read, `tag` the module's own address, and
    /// `self` stays where it is as long as the configuration lives.
    pub(crate) unsafe fn request(
        &mut self,
        cf: *mut ngx_conf_t,
        tag: *mut c_void,
    ) -> Result<(), String> {
        let Self::Configured { mut name, bytes } = *self else {
            return Ok(());
        };
        // SAFETY: by this function's contract.
        unsafe {
            let Some(zone) = ngx_shared_memory_add(cf, &mut name, bytes, tag).as_mut() else {
                return Err(format!(
                    "\"{}\" cannot be declared; is the name taken by another zone?",
                    text_of(name)
                ));
            };
            if zone.init.is_some() {
                return Err(format!(
                    "\"{0}\" is the name of a zone of seckill_rate key=…, too; write another name there than zone={0}",
                    text_of(name)
                ));
            }
            zone.init = Some(init);
            zone.data = ptr::from_mut(self).cast();
        }
        *self = Self::Requested;
        Ok(())
    }

    /// Whether the configuration names no zone.
    pub(crate) fn is_unset(&self) -> bool {
        matches!(self, Self::Unset)
    }

    /// The zone, once it can be used.
    pub(crate) fn ready(&self) -> Option<&Zone> {
        match self {
            Self::Ready(zone) => Some(zone),
            Self::Unset | Self::Configured { .. } | Self::Requested => None,
        }
    }
}

/// The entries that a zone should have room for.
pub(crate) fn wanted() -> ZoneNeeds {
    ZoneNeeds {
        reserved_bytes: size_of::<Shared>(),
        ..ZoneNeeds::default()
    }
}

/// How a zone of this size is divided.
///
/// # Errors
/// A sentence that says how large it must be.
fn divide(zone_bytes: usize) -> Result<ZonePlan, String> {
    plan(zone_bytes, &wanted()).map_err(|error| error.to_string())
}

/// nginx calls this in the master, with the zone mapped, before any worker starts.
/// `old_data` is set when a reload keeps the memory of the running configuration.
extern "C" fn init(zone: *mut ngx_shm_zone_t, old_data: *mut c_void) -> ngx_int_t {
    // SAFETY: the memory begins with nginx's slab pool, whose `data` is ours alone:
    // null until `lay_out` stored its Shared there. The zone's own `data` is the
    // SharedZone that requested it, in a configuration that is being completed.
    unsafe {
        let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
        let is_kept = !old_data.is_null() || (*zone).shm.exists != 0;
        let shared = if is_kept {
            (*pool).data.cast::<Shared>().as_ref()
        } else {
            match lay_out(zone, pool) {
                Ok(shared) => Some(shared),
                Err(why) => return refuse(zone, &why),
            }
        };
        let Some(ready) = shared.and_then(|shared| Zone::new(shared)) else {
            return refuse(
                zone,
                "was laid out by another version of the module; restart nginx instead of reloading",
            );
        };
        *(*zone).data.cast::<SharedZone>() = SharedZone::Ready(ready);
    }
    NGX_OK as ngx_int_t
}

/// Divides fresh memory into the tables.
///
/// # Errors
/// A sentence that says how large the zone must be.
///
/// # Safety
/// `zone` is mapped and `pool` the slab pool at its beginning.
unsafe fn lay_out(
    zone: *mut ngx_shm_zone_t,
    pool: *mut ngx_slab_pool_t,
) -> Result<&'static Shared, String> {
    // SAFETY: by this function's contract. The memory is as large as the plan says.
    unsafe {
        let bytes = (*zone).shm.size;
        let plan = divide(bytes)?;
        let shared = ngx_slab_calloc(pool, plan.bytes).cast::<Shared>();
        if shared.is_null() {
            return Err("cannot be allocated; make it larger".to_owned());
        }
        Shared::fill(shared, bytes, &plan);
        (*pool).data = shared.cast();
        if let Some(shortfall) = plan.shortfall() {
            let log = (*zone).shm.log;
            let name = text_of((*zone).shm.name);
            ngx_log_error!(
                NGX_LOG_NOTICE,
                log,
                "seckill_zone \"{}\": {}",
                name,
                shortfall
            );
        }
        Ok(&*shared)
    }
}

/// # Safety
/// The name's memory is alive.
unsafe fn text_of(name: ngx_str_t) -> String {
    // SAFETY: by this function's contract.
    String::from_utf8_lossy(name.as_bytes()).into_owned()
}

/// # Safety
/// `zone` is a declared zone.
unsafe fn refuse(zone: *mut ngx_shm_zone_t, why: &str) -> ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        let (log, name) = ((*zone).shm.log, text_of((*zone).shm.name));
        ngx_log_error!(NGX_LOG_EMERG, log, "seckill_zone \"{}\" {}", name, why);
    }
    NGX_ERROR as ngx_int_t
}
