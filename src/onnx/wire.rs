//! The wire format of Protocol Buffers: fields, each with a number, that hold an integer, four or eight bytes, or bytes of a
//! length. A message in a message is such bytes, so that nothing here calls itself, however deep a file nests.

/// Why bytes are no message.
pub type Result<T> = std::result::Result<T, &'static str>;

const CUT: &str = "it ends within a field, or a field is longer than what it is part of";

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Wire<'a> {
    /// An integer of variable length.
    Integer(u64),
    /// Eight bytes.
    Eight([u8; 8]),
    /// Bytes, of text, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes.
    Four([u8; 4]),
}

impl<'a> Wire<'a> {
    /// The bytes.
    pub fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("a number where text or a message should be"),
        }
    }

    /// The text.
    pub fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "text that is no UTF-8")
    }

    /// The integer.
    pub fn integer(self) -> Result<i64> {
        match self {
            Self::Integer(value) => Ok(value.cast_signed()),
            _ => Err("no integer where one should be"),
        }
    }

    /// Calls `put` with each integer of a field that may be repeated, or packed.
    pub fn integers(self, mut put: impl FnMut(i64) -> Result<()>) -> Result<()> {
        match self {
            Self::Integer(value) => put(value.cast_signed()),
            Self::Bytes(mut rest) => {
                while !rest.is_empty() {
                    put(varint(&mut rest)?.cast_signed())?;
                }
                Ok(())
            }
            _ => Err("no integers where such should be"),
        }
    }

    /// [`Self::integers`] of an `f32`.
    pub fn floats(self, mut put: impl FnMut(f32) -> Result<()>) -> Result<()> {
        match self {
            Self::Four(bytes) => put(f32::from_le_bytes(bytes)),
            Self::Bytes(bytes) => {
                let mut numbers = chunks(bytes)?.iter();
                numbers.try_for_each(|&bytes| put(f32::from_le_bytes(bytes)))
            }
            _ => Err("no numbers of four bytes where such should be"),
        }
    }

    /// [`Self::integers`] of an `f64`.
    pub fn doubles(self, mut put: impl FnMut(f64) -> Result<()>) -> Result<()> {
        match self {
            Self::Eight(bytes) => put(f64::from_le_bytes(bytes)),
            Self::Bytes(bytes) => {
                let mut numbers = chunks(bytes)?.iter();
                numbers.try_for_each(|&bytes| put(f64::from_le_bytes(bytes)))
            }
            _ => Err("no numbers of eight bytes where such should be"),
        }
    }
}

/// Packed numbers of `N` bytes each.
pub fn chunks<const N: usize>(bytes: &[u8]) -> Result<&[[u8; N]]> {
    match bytes.as_chunks() {
        (numbers, []) => Ok(numbers),
        _ => Err(CUT),
    }
}

/// The fields of a message, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // Nothing can be told of what is behind.
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Wire<'a>)> {
        let key = varint(&mut self.0)?;
        let wire = match key & 7 {
            0 => Wire::Integer(varint(&mut self.0)?),
            1 => Wire::Eight(self.array()?),
            2 => {
                let len = varint(&mut self.0)?;
                let len = usize::try_from(len).map_err(|_| CUT)?;
                let (bytes, rest) = self.0.split_at_checked(len).ok_or(CUT)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Four(self.array()?),
            _ => return Err("a field of a type that there is not"),
        };
        match key >> 3 {
            0 => Err("a field of the number 0"),
            number => Ok((number, wire)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*bytes)
    }
}

/// Takes an integer of variable length: seven bits a byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first().ok_or(CUT)?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("an integer of more than ten bytes")
}

/// A message that is being written.
#[derive(Debug, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn integer(&mut self, field: u64, value: i64) {
        self.varint(field << 3);
        self.varint(value.cast_unsigned());
    }

    pub fn float(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }

    pub fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.head(field, bytes.len());
        self.0.extend(bytes);
    }

    pub fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    pub fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// What comes before bytes of that length.
    pub fn head(&mut self, field: u64, len: usize) {
        self.varint(field << 3 | 2);
        self.varint(len as u64);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
