//! Known answers of certificate-transparency-go, and every small tree by force.

use super::*;

/// The leaves of the reference implementation's test.
const CONTENTS: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// Its roots, after 0 to 8 leaves.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hex(hash: Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

#[test]
fn roots_are_those_of_the_reference() {
    let all: Vec<Hash> = CONTENTS.iter().map(|content| leaf_hash(content)).collect();
    for (size, expect) in ROOTS.iter().enumerate() {
        assert_eq!(hex(root(&all[..size])), *expect, "{size} leaves");
    }
}

#[test]
fn a_frontier_has_the_root_of_its_leaves() {
    let all = leaves(300);
    let mut frontier = Frontier::default();
    for size in 0..=all.len() {
        assert_eq!(frontier.size(), size as u64);
        assert_eq!(frontier.root(), root(&all[..size]), "{size} leaves");
        let bytes = frontier.to_bytes();
        assert_eq!(Frontier::from_bytes(&bytes), Some(frontier.clone()));
        assert_eq!(Frontier::from_bytes(&bytes[..bytes.len() - 1]), None);
        if let Some(leaf) = all.get(size) {
            frontier.append(*leaf);
        }
    }
}

#[test]
fn every_leaf_proves_that_it_is_there_and_only_there() {
    for size in 0..=33 {
        let all = leaves(size);
        let whole = root(&all);
        assert_eq!(prove_inclusion(&all, size), None);
        for (index, leaf) in all.iter().enumerate() {
            let proof = prove_inclusion(&all, index).unwrap();
            for (at, other) in all.iter().enumerate() {
                let verified =
                    |leaf| verify_inclusion(leaf, at as u64, size as u64, &proof, &whole);
                assert_eq!(verified(leaf), at == index, "{index} as {at} of {size}");
                assert_eq!(verified(other), at == index, "{at} for {index} of {size}");
            }
            let mut longer = proof.clone();
            longer.push([0; 32]);
            assert!(!verify_inclusion(
                leaf,
                index as u64,
                size as u64,
                &longer,
                &whole
            ));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!verify_inclusion(
                    leaf,
                    index as u64,
                    size as u64,
                    shorter,
                    &whole
                ));
            }
        }
    }
}

#[test]
fn every_tree_proves_what_it_grew_from() {
    for size in 0..=33 {
        let all = leaves(size);
        let whole = root(&all);
        assert_eq!(prove_consistency(&all, size + 1), None);
        for old_size in 0..=size {
            let proof = prove_consistency(&all, old_size).unwrap();
            let verified = |at: usize, old: &Hash, proof: &[Hash]| {
                verify_consistency(at as u64, old, size as u64, &whole, proof)
            };
            for at in 0..=size {
                let old = root(&all[..at]);
                let same_proof = prove_consistency(&all, at).unwrap() == proof;
                assert_eq!(
                    verified(at, &old, &proof),
                    at == old_size || same_proof,
                    "{old_size} as {at} of {size}"
                );
            }
            let old = root(&all[..old_size]);
            assert!(!verified(old_size, &[9; 32], &proof), "a forged old root");
            for i in 0..proof.len() {
                let mut changed = proof.clone();
                changed[i][0] ^= 1;
                assert!(!verified(old_size, &old, &changed));
                assert!(!verified(old_size, &old, &proof[..i]));
            }
        }
    }
}

#[test]
fn a_commitment_depends_on_salt_and_entry() {
    let one = leaf(&[1; 32], &[b"entry"]);
    assert_eq!(one, leaf(&[1; 32], &[b"entry"]));
    assert_ne!(one, leaf(&[2; 32], &[b"en", b"try"]));
    assert_ne!(one, leaf(&[1; 32], &[b"other"]));
}

#[test]
fn full_subtrees_are_told_and_can_be_added_again() {
    let all = leaves(70);
    let (mut frontier, mut told) = (Frontier::default(), Vec::new());
    for (index, leaf) in all.iter().enumerate() {
        frontier.append_noting(*leaf, |height, hash| {
            let from = index + 1 - (1 << height);
            assert_eq!(*hash, root(&all[from..=index]), "{from} {height}");
            told.push((from, height, *hash));
        });
    }
    assert_eq!(told.len(), 35 + 17 + 8 + 4 + 2 + 1);
    let of = |from, height| told.iter().find(|one| (one.0, one.1) == (from, height));
    let mut again = Frontier::default();
    assert!(again.append_subtree(6, of(0, 6).unwrap().2));
    assert!(again.append_subtree(2, of(64, 2).unwrap().2));
    assert!(!again.append_subtree(3, [0; 32]));
    assert!(again.append_subtree(1, of(68, 1).unwrap().2));
    assert_eq!(again, frontier);
    assert_eq!(Frontier::of_roots(70, again.roots().to_vec()), Some(again));
    assert_eq!(Frontier::of_roots(70, Vec::new()), None);
}
