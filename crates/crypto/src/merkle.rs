//! The hash tree of RFC 6962 section 2.1: <https://www.rfc-editor.org/rfc/rfc6962#section-2.1>.
//!
//! Leaves of the audit log are commitments to entries: the salt lives beside
//! the entry, so an entry can be erased with its salt, and what remains in
//! the tree proves the rest of the log without saying anything of it.

use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;

/// The hash of a leaf or of a tree.
pub type Hash = [u8; 32];

/// The leaf for an entry, whose parts follow each other: the hash of a commitment to it that
/// only `salt` opens.
#[must_use]
pub fn leaf(salt: &[u8; 32], entry: &[&[u8]]) -> Hash {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
    entry.iter().for_each(|part| context.update(part));
    leaf_hash(context.sign().as_ref())
}

/// The hash of a leaf with this content.
#[must_use]
pub fn leaf_hash(content: &[u8]) -> Hash {
    hash(&[&[0], content])
}

/// The hash of a tree with these leaves.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => hash(&[]),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(split(many.len() as u64) as usize);
            node(&root(left), &root(right))
        }
    }
}

/// What is left of a log when only its root and further appending are wanted:
/// the roots of its full subtrees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf behind the others.
    pub fn append(&mut self, leaf: Hash) {
        self.append_noting(leaf, |_, _| {});
    }

    /// Adds a leaf behind the others. Of each subtree that is full with it, `full` is told how
    /// many times two joined to it, from 1 up, and its root.
    pub fn append_noting(&mut self, leaf: Hash, full: impl FnMut(u32, &Hash)) {
        self.join(0, leaf, full);
    }

    /// Adds a full subtree of `2^height` leaves behind the others; false, and nothing is
    /// added, if it cannot stand there: the leaves before have to fill such subtrees.
    #[must_use]
    pub fn append_subtree(&mut self, height: u32, root: Hash) -> bool {
        let fits = height < u64::BITS && self.size.trailing_zeros() >= height;
        if fits {
            self.join(height, root, |_, _| {});
        }
        fits
    }

    fn join(&mut self, height: u32, root: Hash, mut full: impl FnMut(u32, &Hash)) {
        let mut joined = root;
        // As in counting: each set bit below the first clear one is a full
        // subtree of the size that the carried one has.
        for times in 0..(self.size >> height).trailing_ones() {
            if let Some(left) = self.roots.pop() {
                joined = node(&left, &joined);
                full(height + times + 1, &joined);
            }
        }
        self.roots.push(joined);
        self.size += 1 << height;
    }

    /// The roots of its full subtrees, the largest first.
    #[must_use]
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// A log of this many leaves, of the roots of its full subtrees; `None` if they are not
    /// as many as it has.
    #[must_use]
    pub fn of_roots(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// The hash of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut from_right = self.roots.iter().rev();
        match from_right.next() {
            None => hash(&[]),
            Some(last) => from_right.fold(*last, |right, left| node(left, &right)),
        }
    }

    /// As bytes, to be stored: version 1, size, hashes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(9 + 32 * self.roots.len());
        bytes.push(1);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend(self.roots.iter().flatten());
        bytes
    }

    /// From bytes of [`Self::to_bytes`]; `None` if they are not.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, hashes) = bytes.split_first_chunk::<9>()?;
        let (1, size) = (head[0], u64::from_be_bytes(*head.last_chunk()?)) else {
            return None;
        };
        let roots: Vec<Hash> = hashes
            .chunks(32)
            .map(|hash| hash.try_into().ok())
            .collect::<Option<_>>()?;
        Self::of_roots(size, roots)
    }
}

/// The proof that leaf `index` is in the tree of these leaves (section 2.1.1);
/// `None` if there is no such leaf.
#[must_use]
pub fn prove_inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    roots(leaves, inclusion(index as u64, leaves.len() as u64)?)
}

/// The proof that the tree of the first `old_size` leaves grew into the tree
/// of all of them (section 2.1.2); `None` if there were not so many.
#[must_use]
pub fn prove_consistency(leaves: &[Hash], old_size: usize) -> Option<Vec<Hash>> {
    roots(leaves, consistency(old_size as u64, leaves.len() as u64)?)
}

/// The parts of a tree of `size` leaves whose hashes, in this order, prove that leaf `index`
/// is in it; `None` if there is no such leaf.
#[must_use]
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let mut proof = Vec::new();
    let mut part = 0..size;
    while part.end - part.start > 1 {
        let middle = part.start + split(part.end - part.start);
        if index < middle {
            proof.push(middle..part.end);
            part.end = middle;
        } else {
            proof.push(part.start..middle);
            part.start = middle;
        }
    }
    proof.reverse();
    Some(proof)
}

/// The parts of a tree of `size` leaves whose hashes, in this order, prove that it grew out of
/// the tree of its first `old_size`; `None` if there were not so many.
#[must_use]
pub fn consistency(old_size: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if old_size > size {
        return None;
    }
    let mut proof = Vec::new();
    // The empty tree is consistent with every tree, and needs no proof.
    if old_size == 0 {
        return Some(proof);
    }
    let mut part = 0..size;
    while old_size < part.end {
        let middle = part.start + split(part.end - part.start);
        if old_size <= middle {
            proof.push(middle..part.end);
            part.end = middle;
        } else {
            proof.push(part.start..middle);
            part.start = middle;
        }
    }
    if part.start > 0 {
        proof.push(part);
    }
    proof.reverse();
    Some(proof)
}

fn roots(leaves: &[Hash], parts: Vec<Range<u64>>) -> Option<Vec<Hash>> {
    let place = |at: u64| usize::try_from(at).ok();
    let of = |part: Range<u64>| leaves.get(place(part.start)?..place(part.end)?).map(root);
    parts.into_iter().map(of).collect()
}

/// Checks a proof of [`prove_inclusion`] against the hash of a tree of `size`
/// leaves (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Checks a proof of [`prove_consistency`] between the hashes of two trees
/// (RFC 9162 section 2.1.4.2).
#[must_use]
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> bool {
    if old_size == 0 {
        return proof.is_empty() && *old_root == hash(&[]);
    }
    if old_size >= size {
        return old_size == size && proof.is_empty() && old_root == root;
    }
    // An old tree that is one full subtree is its own first hash.
    let (first, rest) = match (old_size.is_power_of_two(), proof) {
        (true, rest) => (old_root, rest),
        (false, [first, rest @ ..]) => (first, rest),
        (false, []) => return false,
    };
    let skip = (old_size - 1).trailing_ones();
    let (mut at, mut last) = ((old_size - 1) >> skip, (size - 1) >> skip);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_hash = node(sibling, &old_hash);
            new_hash = node(sibling, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *root
}

/// The largest power of two below a length of at least two.
fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests;
