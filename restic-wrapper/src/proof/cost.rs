//! What a repository costs at a storage, from sizes and the storage's prices.

/// Prices of a storage, in any currency. They change, so that the caller says them; 0 for what is free.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Prices {
    /// For a decimal gigabyte in a month.
    pub gigabyte_month: f64,
    /// For a decimal gigabyte read out of the storage.
    pub gigabyte_out: f64,
    /// For a million requests.
    pub million_requests: f64,
    /// Days that an object is paid for even if it is removed sooner.
    pub minimum_days: u32,
}

impl Prices {
    /// Prices of storing and of reading a decimal gigabyte.
    #[must_use]
    pub fn new(gigabyte_month: f64, gigabyte_out: f64) -> Self {
        Self {
            gigabyte_month,
            gigabyte_out,
            ..Self::default()
        }
    }

    /// The price of a million requests.
    #[must_use]
    pub fn million_requests(mut self, price: f64) -> Self {
        self.million_requests = price;
        self
    }

    /// Days that an object is paid for even if it is removed sooner.
    #[must_use]
    pub fn minimum_days(mut self, days: u32) -> Self {
        self.minimum_days = days;
        self
    }
}

/// How a repository is used.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes in the repository: `stats` with raw data.
    pub stored: u64,
    /// Bytes that backups add in 30 days.
    pub added_month: u64,
    /// Bytes that prunes remove in 30 days.
    pub removed_month: u64,
    /// Bytes that checks, drills and restores read in 30 days.
    pub read_month: u64,
    /// Bytes of a pack file; restic's default is 16 MiB.
    pub pack_size: u64,
}

impl Usage {
    /// A repository of this size that grows by so much in 30 days, in packs of restic's default size. `stats` with raw
    /// data tells the one, [`Health`](crate::proof::Health) the other.
    #[must_use]
    pub fn new(stored: u64, added_month: u64) -> Self {
        Self {
            stored,
            added_month,
            pack_size: 16 << 20,
            ..Self::default()
        }
    }

    /// Bytes that prunes remove in 30 days.
    #[must_use]
    pub fn removed_month(mut self, bytes: u64) -> Self {
        self.removed_month = bytes;
        self
    }

    /// Bytes that checks, drills and restores read in 30 days.
    #[must_use]
    pub fn read_month(mut self, bytes: u64) -> Self {
        self.read_month = bytes;
        self
    }

    /// Bytes in the repository after so many months of the same.
    #[must_use]
    pub fn stored_after(&self, months: u32) -> u64 {
        let months = u64::from(months);
        self.stored
            .saturating_add(self.added_month.saturating_mul(months))
            .saturating_sub(self.removed_month.saturating_mul(months))
    }

    /// What the month after so many months costs.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn cost(&self, prices: &Prices, months: u32) -> Cost {
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        let packs = |bytes: u64| bytes as f64 / self.pack_size.max(1) as f64;
        // What is removed before its time is paid as if it were still there.
        let early = gigabytes(self.removed_month) * f64::from(prices.minimum_days) / 30.0;
        Cost {
            storage: (gigabytes(self.stored_after(months)) + early) * prices.gigabyte_month,
            reading: gigabytes(self.read_month) * prices.gigabyte_out,
            requests: (packs(self.added_month)
                + packs(self.removed_month)
                + packs(self.read_month))
                / 1e6
                * prices.million_requests,
        }
    }

    /// [`Usage::cost`] at several storages, the cheapest first.
    #[must_use]
    pub fn compare<'n>(
        &self,
        storages: impl IntoIterator<Item = (&'n str, Prices)>,
        months: u32,
    ) -> Vec<(&'n str, Cost)> {
        let mut costs: Vec<_> = storages
            .into_iter()
            .map(|(name, prices)| (name, self.cost(&prices, months)))
            .collect();
        costs.sort_by(|a, b| a.1.total().total_cmp(&b.1.total()));
        costs
    }
}

/// What a month costs, in the currency of the prices.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Cost {
    /// Storing.
    pub storage: f64,
    /// Reading out.
    pub reading: f64,
    /// Requests for pack files.
    pub requests: f64,
}

impl Cost {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.storage + self.reading + self.requests
    }
}
