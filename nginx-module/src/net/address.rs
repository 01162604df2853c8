//! Socket addresses in nginx's form.

use std::net::SocketAddr;

use ngx::ffi::sockaddr;

/// A socket's address, ready to be handed to nginx.
#[derive(Clone)]
pub(crate) struct SocketAddress {
    storage: libc::sockaddr_storage,
    length: u32,
    name: String,
    is_tcp: bool,
}

impl SocketAddress {
    /// The socket at a path of this machine.
    ///
    /// # Errors
    /// A sentence that names the path: it is too long.
    pub(crate) fn unix(path: &str) -> Result<Self, String> {
        let mut this = Self::empty(format!("unix:{path}"), false);
        // SAFETY: sockaddr_storage is made to hold any socket address.
        let address = unsafe { &mut *(&raw mut this.storage).cast::<libc::sockaddr_un>() };
        if path.len() >= address.sun_path.len() {
            return Err(format!(
                "socket path \"{path}\" has {} bytes, the system allows {}; choose a shorter one",
                path.len(),
                address.sun_path.len() - 1
            ));
        }
        address.sun_family = libc::AF_UNIX as _;
        for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
            *to = from as _;
        }
        this.length = size_of::<libc::sockaddr_un>() as u32;
        Ok(this)
    }

    /// A TCP address.
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        let mut this = Self::empty(address.to_string(), true);
        match address {
            SocketAddr::V4(v4) => {
                // SAFETY: sockaddr_storage is made to hold any socket address.
                let to = unsafe { &mut *(&raw mut this.storage).cast::<libc::sockaddr_in>() };
                to.sin_family = libc::AF_INET as _;
                to.sin_port = v4.port().to_be();
                to.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                this.length = size_of::<libc::sockaddr_in>() as u32;
            }
            SocketAddr::V6(v6) => {
                // SAFETY: as above.
                let to = unsafe { &mut *(&raw mut this.storage).cast::<libc::sockaddr_in6>() };
                to.sin6_family = libc::AF_INET6 as _;
                to.sin6_port = v6.port().to_be();
                to.sin6_addr.s6_addr = v6.ip().octets();
                to.sin6_scope_id = v6.scope_id();
                this.length = size_of::<libc::sockaddr_in6>() as u32;
            }
        }
        this
    }

    fn empty(name: String, is_tcp: bool) -> Self {
        // SAFETY: an all-zero sockaddr_storage is valid and means "no address".
        let storage = unsafe { std::mem::zeroed() };
        Self {
            storage,
            length: 0,
            name,
            is_tcp,
        }
    }

    /// The address for nginx, which only reads it.
    pub(crate) fn as_ptr(&self) -> *mut sockaddr {
        (&raw const self.storage).cast_mut().cast()
    }

    /// Length of the address in bytes.
    pub(crate) fn len(&self) -> u32 {
        self.length
    }

    /// The address as text.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a TCP address.
    pub(crate) fn is_tcp(&self) -> bool {
        self.is_tcp
    }
}
