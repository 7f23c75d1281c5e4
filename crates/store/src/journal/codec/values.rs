//! The values that all rows are made of: numbers, texts, lists, times, addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use facts::{DecisionId, EmailAddress};

use super::{Field, In, Out, choices};

/// A list is read into so much room at first, whatever length it claims.
const ROOM: usize = 64;

macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl Field for $type {
            fn write(&self, out: &mut Out) {
                out.number(*self as u64);
            }

            fn read(from: &mut In<'_>) -> Option<Self> {
                Self::try_from(from.number()?).ok()
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 usize }

impl Field for bool {
    fn write(&self, out: &mut Out) {
        out.octets.push(u8::from(*self));
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        Some(from.octet()? != 0)
    }
}

impl Field for Box<str> {
    fn write(&self, out: &mut Out) {
        out.text(self);
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        from.text().map(Self::from)
    }
}

impl Field for Arc<str> {
    fn write(&self, out: &mut Out) {
        out.text(self);
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        from.text().map(Self::from)
    }
}

/// What administrators write.
impl Field for &'static str {
    fn write(&self, out: &mut Out) {
        out.kept_term(self);
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        from.kept_term()
    }
}

impl Field for EmailAddress {
    fn write(&self, out: &mut Out) {
        out.text(self.as_str());
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        Self::new(from.text()?)
    }
}

impl<T: Field> Field for Option<T> {
    fn write(&self, out: &mut Out) {
        out.octets.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        Some(if bool::read(from)? { Some(T::read(from)?) } else { None })
    }
}

impl<T: Field> Field for Box<T> {
    fn write(&self, out: &mut Out) {
        T::write(self, out);
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        T::read(from).map(Self::new)
    }
}

impl<T: Field> Field for Arc<T> {
    fn write(&self, out: &mut Out) {
        T::write(self, out);
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        T::read(from).map(Self::new)
    }
}

impl<T: Field> Field for Vec<T> {
    fn write(&self, out: &mut Out) {
        out.number(self.len() as u64);
        self.iter().for_each(|value| value.write(out));
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        let count = usize::try_from(from.number()?).ok()?;
        let mut values = Self::with_capacity(count.min(ROOM));
        for _ in 0..count {
            values.push(T::read(from)?);
        }
        Some(values)
    }
}

impl<T: Field> Field for Box<[T]> {
    fn write(&self, out: &mut Out) {
        out.number(self.len() as u64);
        self.iter().for_each(|value| value.write(out));
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        Vec::read(from).map(Vec::into_boxed_slice)
    }
}

impl<T: Field, E: Field> Field for Result<T, E> {
    fn write(&self, out: &mut Out) {
        out.octets.push(u8::from(self.is_ok()));
        match self {
            Ok(value) => value.write(out),
            Err(error) => error.write(out),
        }
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        Some(if bool::read(from)? { Ok(T::read(from)?) } else { Err(E::read(from)?) })
    }
}

impl Field for Duration {
    fn write(&self, out: &mut Out) {
        out.number(self.as_secs());
        out.number(self.subsec_nanos().into());
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        let (seconds, nanos) = (from.number()?, u32::read(from)?);
        (nanos < 1_000_000_000).then(|| Self::new(seconds, nanos))
    }
}

impl Field for SystemTime {
    fn write(&self, out: &mut Out) {
        let since = self.duration_since(UNIX_EPOCH).unwrap_or_default();
        out.number(since.as_secs());
        out.number(since.subsec_nanos().into());
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        UNIX_EPOCH.checked_add(Duration::read(from)?)
    }
}

impl Field for DecisionId {
    fn write(&self, out: &mut Out) {
        out.octets.extend_from_slice(&self.number().to_le_bytes());
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        Some(Self::of_number(u64::from_le_bytes(from.array()?)))
    }
}

impl Field for Ipv4Addr {
    fn write(&self, out: &mut Out) {
        out.octets.extend_from_slice(&self.octets());
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        from.array::<4>().map(Self::from)
    }
}

impl Field for Ipv6Addr {
    fn write(&self, out: &mut Out) {
        out.octets.extend_from_slice(&self.octets());
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        from.array::<16>().map(Self::from)
    }
}

choices! { IpAddr { 4 => V4(address), 6 => V6(address) } }
