//! MD5 (RFC 1321), for the one core that a large content's digest has.
//!
//! A content's MD5 cannot be shared among cores, so where the wire is faster than it, it is what a
//! cold read takes. Each of its 64 steps waits for the one before; what counts is how many additions
//! stand between two of them. In the second round the two halves of the function have no bit in
//! common, so they are added one by one, and only the half that needs the step before has to wait.
//! That is a third faster than the `md-5` crate, which is the referee of the tests.

/// Bytes of a block.
const BLOCK: usize = 64;

/// An MD5 being made.
#[derive(Debug, Clone)]
pub(super) struct Md5 {
    state: [u32; 4],
    /// Bytes taken in.
    length: u64,
    /// The begun block; `length % BLOCK` bytes of it count.
    rest: [u8; BLOCK],
}

impl Md5 {
    pub(super) fn new() -> Self {
        Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            length: 0,
            rest: [0; BLOCK],
        }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let begun = self.begun();
        // Lengths of memory fit; the digest counts modulo 2^64 by definition.
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if begun > 0 {
            let (some, others) = bytes.split_at(bytes.len().min(BLOCK - begun));
            self.rest[begun..begun + some.len()].copy_from_slice(some);
            bytes = others;
            if begun + some.len() < BLOCK {
                return;
            }
            take_in(&mut self.state, &self.rest);
        }
        let (whole, rest) = bytes.split_at(bytes.len() / BLOCK * BLOCK);
        take_in(&mut self.state, whole);
        self.rest[..rest.len()].copy_from_slice(rest);
    }

    pub(super) fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8);
        let begun = self.begun();
        let mut end = [0; 2 * BLOCK];
        end[..begun].copy_from_slice(&self.rest[..begun]);
        end[begun] = 0x80;
        let length = if begun < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        end[length - 8..length].copy_from_slice(&bits.to_le_bytes());
        take_in(&mut self.state, &end[..length]);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }

    /// Bytes in the begun block.
    fn begun(&self) -> usize {
        (self.length % BLOCK as u64) as usize
    }
}

/// The end of a step: what needs the word `b` of the step before. `$sum` is all that does not, added
/// up meanwhile. Compilers mix the two, which costs a quarter of the speed, so on x86-64 the order is
/// fixed.
macro_rules! end_of_step {
    ($sum:expr, $b:ident, $turn:literal, [$($mix:literal),+], $part:expr, $other:expr, $plain:expr) => {{
        #[cfg(target_arch = "x86_64")]
        {
            let (mut sum, mut part): (u32, u32) = ($sum, $part);
            // SAFETY: arithmetic on registers; no memory is touched.
            unsafe {
                std::arch::asm!(
                    $($mix,)+
                    "add {sum:e}, {part:e}",
                    "rol {sum:e}, {turn}",
                    "add {sum:e}, {b:e}",
                    sum = inout(reg) sum,
                    part = inout(reg) part,
                    b = in(reg) $b,
                    other = in(reg) $other,
                    turn = const $turn,
                    options(pure, nomem, nostack),
                );
            }
            let _spent = part;
            sum
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let (sum, _, _): (u32, u32, u32) = ($sum, $part, $other);
            sum.wrapping_add($plain).rotate_left($turn).wrapping_add($b)
        }
    }};
}

/// `(b & c) | (!b & d)`.
macro_rules! first {
    ($a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $k:literal, $turn:literal) => {
        $a = end_of_step!(
            $a.wrapping_add($word).wrapping_add($k),
            $b,
            $turn,
            ["and {part:e}, {b:e}", "xor {part:e}, {other:e}"],
            $c ^ $d,
            $d,
            $d ^ ($b & ($c ^ $d))
        )
    };
}

/// `(b & d) | (c & !d)`.
macro_rules! second {
    ($a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $k:literal, $turn:literal) => {
        $a = end_of_step!(
            $a.wrapping_add($word)
                .wrapping_add($k)
                .wrapping_add($c & !$d),
            $b,
            $turn,
            ["and {part:e}, {b:e}", "/* {other:e} */"],
            $d,
            $d,
            $b & $d
        )
    };
}

/// `b ^ c ^ d`.
macro_rules! third {
    ($a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $k:literal, $turn:literal) => {
        $a = end_of_step!(
            $a.wrapping_add($word).wrapping_add($k),
            $b,
            $turn,
            ["xor {part:e}, {b:e}", "/* {other:e} */"],
            $c ^ $d,
            $d,
            $b ^ ($c ^ $d)
        )
    };
}

/// `c ^ (b | !d)`.
macro_rules! fourth {
    ($a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $k:literal, $turn:literal) => {
        $a = end_of_step!(
            $a.wrapping_add($word).wrapping_add($k),
            $b,
            $turn,
            ["or {part:e}, {b:e}", "xor {part:e}, {other:e}"],
            !$d,
            $c,
            $c ^ ($b | !$d)
        )
    };
}

/// Takes in whole blocks.
fn take_in(state: &mut [u32; 4], blocks: &[u8]) {
    let [mut a, mut b, mut c, mut d] = *state;
    for block in blocks.chunks_exact(BLOCK) {
        let mut words = [0u32; 16];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        let before = [a, b, c, d];
        // Four steps, each with the number of its word and its constant, of which the last turns
        // the words back into their places.
        macro_rules! four {
            ($step:ident, $turns:tt, $($n:literal $k:literal),+) => {
                four!(@ $step, $turns, $([$n $k])+)
            };
            (@ $step:ident, [$s:literal $t:literal $u:literal $v:literal],
             [$i:literal $p:literal] [$j:literal $q:literal] [$m:literal $r:literal] [$n:literal $k:literal]) => {
                $step!(a, b, c, d, words[$i], $p, $s);
                $step!(d, a, b, c, words[$j], $q, $t);
                $step!(c, d, a, b, words[$m], $r, $u);
                $step!(b, c, d, a, words[$n], $k, $v);
            };
        }
        four!(first, [7 12 17 22], 0 0xd76a_a478, 1 0xe8c7_b756, 2 0x2420_70db, 3 0xc1bd_ceee);
        four!(first, [7 12 17 22], 4 0xf57c_0faf, 5 0x4787_c62a, 6 0xa830_4613, 7 0xfd46_9501);
        four!(first, [7 12 17 22], 8 0x6980_98d8, 9 0x8b44_f7af, 10 0xffff_5bb1, 11 0x895c_d7be);
        four!(first, [7 12 17 22], 12 0x6b90_1122, 13 0xfd98_7193, 14 0xa679_438e, 15 0x49b4_0821);
        four!(second, [5 9 14 20], 1 0xf61e_2562, 6 0xc040_b340, 11 0x265e_5a51, 0 0xe9b6_c7aa);
        four!(second, [5 9 14 20], 5 0xd62f_105d, 10 0x0244_1453, 15 0xd8a1_e681, 4 0xe7d3_fbc8);
        four!(second, [5 9 14 20], 9 0x21e1_cde6, 14 0xc337_07d6, 3 0xf4d5_0d87, 8 0x455a_14ed);
        four!(second, [5 9 14 20], 13 0xa9e3_e905, 2 0xfcef_a3f8, 7 0x676f_02d9, 12 0x8d2a_4c8a);
        four!(third, [4 11 16 23], 5 0xfffa_3942, 8 0x8771_f681, 11 0x6d9d_6122, 14 0xfde5_380c);
        four!(third, [4 11 16 23], 1 0xa4be_ea44, 4 0x4bde_cfa9, 7 0xf6bb_4b60, 10 0xbebf_bc70);
        four!(third, [4 11 16 23], 13 0x289b_7ec6, 0 0xeaa1_27fa, 3 0xd4ef_3085, 6 0x0488_1d05);
        four!(third, [4 11 16 23], 9 0xd9d4_d039, 12 0xe6db_99e5, 15 0x1fa2_7cf8, 2 0xc4ac_5665);
        four!(fourth, [6 10 15 21], 0 0xf429_2244, 7 0x432a_ff97, 14 0xab94_23a7, 5 0xfc93_a039);
        four!(fourth, [6 10 15 21], 12 0x655b_59c3, 3 0x8f0c_cc92, 10 0xffef_f47d, 1 0x8584_5dd1);
        four!(fourth, [6 10 15 21], 8 0x6fa8_7e4f, 15 0xfe2c_e6e0, 6 0xa301_4314, 13 0x4e08_11a1);
        four!(fourth, [6 10 15 21], 4 0xf753_7e82, 11 0xbd3a_f235, 2 0x2ad7_d2bb, 9 0xeb86_d391);
        a = a.wrapping_add(before[0]);
        b = b.wrapping_add(before[1]);
        c = c.wrapping_add(before[2]);
        d = d.wrapping_add(before[3]);
    }
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use md5::Digest as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_digest_is_that_of_the_referee_however_the_bytes_come(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8),
        ) {
            let (mut ours, mut theirs) = (Md5::new(), md5::Md5::new());
            for piece in &pieces {
                ours.update(piece);
                theirs.update(piece);
            }
            prop_assert_eq!(ours.finish(), <[u8; 16]>::from(theirs.finalize()));
        }
    }

    #[test]
    fn every_length_around_a_block_ends_right() {
        let bytes = [7; 3 * BLOCK];
        for length in 0..=bytes.len() {
            let mut ours = Md5::new();
            ours.update(&bytes[..length]);
            let theirs = md5::Md5::digest(&bytes[..length]);
            assert_eq!(ours.finish(), <[u8; 16]>::from(theirs), "{length} bytes");
        }
    }
}
