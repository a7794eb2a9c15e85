//! Places in the index: along a curve (of Morton) on which what is near each
//! other mostly lies near, so that a box is a few spans of keys.

use salus_store::{Around, Place};

/// Most cells of which the spans of a box are made.
const CELLS_MAX: usize = 24;
/// Bits of a latitude or a longitude.
const BITS: u32 = 32;

/// A place on the curve: the bits of its longitude and latitude in turns.
pub(super) fn on_curve(place: Place) -> u64 {
    let (x, y) = (east(place.longitude()), north(place.latitude()));
    spread(x) << 1 | spread(y)
}

/// Spans of the curve, both ends included, that hold all of a box.
pub(super) fn spans(around: &Around) -> Vec<(u64, u64)> {
    let wanted = (
        (east(around.longitudes.0), east(around.longitudes.1)),
        (north(around.latitudes.0), north(around.latitudes.1)),
    );
    let mut cells = vec![Cell {
        x: 0,
        y: 0,
        bits: 0,
    }];
    for _ in 0..BITS {
        let parts = cells.iter().flat_map(|cell| cell.parts());
        let parts: Vec<Cell> = parts.filter(|cell| cell.meets(wanted)).collect();
        if parts.len() > CELLS_MAX {
            break;
        }
        cells = parts;
    }
    let mut spans: Vec<(u64, u64)> = cells.iter().map(Cell::span).collect();
    spans.sort_unstable();
    // Cells side by side are one span.
    spans.dedup_by(|next, kept| {
        let joins = kept.1.checked_add(1) == Some(next.0);
        if joins {
            kept.1 = next.1;
        }
        joins
    });
    spans
}

/// All places whose coordinates begin with the same bits.
#[derive(Clone, Copy)]
struct Cell {
    x: u32,
    y: u32,
    /// So many of them.
    bits: u32,
}

impl Cell {
    fn parts(self) -> [Self; 4] {
        let half = 1 << (BITS - 1 - self.bits);
        [(0, 0), (0, half), (half, 0), (half, half)].map(|(x, y)| Self {
            x: self.x | x,
            y: self.y | y,
            bits: self.bits + 1,
        })
    }

    /// The last coordinates of it, beyond its first.
    fn width(self) -> u32 {
        u32::MAX.checked_shr(self.bits).unwrap_or(0)
    }

    fn meets(self, (x, y): ((u32, u32), (u32, u32))) -> bool {
        let meets =
            |start: u32, (from, to): (u32, u32)| start <= to && from <= start | self.width();
        meets(self.x, x) && meets(self.y, y)
    }

    fn span(&self) -> (u64, u64) {
        let start = spread(self.x) << 1 | spread(self.y);
        let rest = spread(self.width());
        (start, start | rest << 1 | rest)
    }
}

/// -180 to 180 degrees as 32 bits.
fn east(longitude: i32) -> u32 {
    scaled(longitude, 1_800_000_000)
}

/// -90 to 90 degrees as 32 bits.
fn north(latitude: i32) -> u32 {
    scaled(latitude, 900_000_000)
}

fn scaled(parts: i32, most: i64) -> u32 {
    let from_zero = (i64::from(parts) + most).clamp(0, 2 * most);
    let scaled = (from_zero.cast_unsigned() << BITS) / (2 * most.cast_unsigned() + 1);
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

/// A zero bit in front of each bit.
fn spread(bits: u32) -> u64 {
    let mut spread = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        spread = (spread | spread << shift) & mask;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hold_their_box_and_little_else() {
        let mut state = 3_u64;
        let mut random = |most: i32| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let most = i128::from(most);
            (i128::from(state >> 1) * 2 * most / (1 << 63) - most) as i32
        };
        for _ in 0..500 {
            let center = Place::of_parts(random(850_000_000), random(1_790_000_000)).unwrap();
            let around = center.around(50_000.0);
            let spans: Vec<_> = around.iter().flat_map(spans).collect();
            assert!(spans.len() <= 2 * CELLS_MAX);
            let held = |place| {
                let at = on_curve(place);
                spans.iter().any(|(from, to)| (*from..=*to).contains(&at))
            };
            for _ in 0..20 {
                let near = (
                    center.latitude() + random(4_000_000),
                    center.longitude() + random(4_000_000),
                );
                let near = Place::of_parts(near.0, near.1).unwrap();
                assert!(center.distance_m(near) > 50_000.0 || held(near));
            }
            let all: u128 = spans
                .iter()
                .map(|(from, to)| u128::from(to - from) + 1)
                .sum();
            let boxes = around.iter().map(|around| {
                let x = east(around.longitudes.1) - east(around.longitudes.0);
                let y = north(around.latitudes.1) - north(around.latitudes.0);
                u128::from(x) * u128::from(y)
            });
            assert!(all < 4 * boxes.sum::<u128>(), "{center:?}");
        }
    }

    #[test]
    fn the_ends_of_the_earth_are_ends_of_the_curve() {
        let place = |latitude, longitude| Place::of_parts(latitude, longitude).unwrap();
        assert_eq!(on_curve(place(-900_000_000, -1_800_000_000)), 0);
        assert!(on_curve(place(900_000_000, 1_800_000_000)) > u64::MAX - 16);
        let everywhere = place(0, 0).around(30_000_000.0);
        assert_eq!(spans(&everywhere[0]), [(0, u64::MAX)]);
    }
}
