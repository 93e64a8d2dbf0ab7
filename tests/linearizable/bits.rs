//! A set of small numbers, of any size.

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bits(Box<[u64]>);

impl Bits {
    /// None of the numbers below `size`.
    pub fn none(size: usize) -> Bits {
        Bits(vec![0; size.div_ceil(64)].into())
    }

    pub fn has(&self, number: usize) -> bool {
        self.0[number / 64] & (1 << (number % 64)) != 0
    }

    pub fn with(&self, number: usize) -> Bits {
        let mut bits = self.clone();
        bits.0[number / 64] |= 1 << (number % 64);
        bits
    }

    pub fn is_subset_of(&self, other: &Bits) -> bool {
        self.0.iter().zip(&other.0).all(|(ours, theirs)| ours & !theirs == 0)
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}
