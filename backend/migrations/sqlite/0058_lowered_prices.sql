-- When the price of a product was lowered last while it sold, epoch milliseconds; 0 if never.
ALTER TABLE round_products ADD COLUMN priced_ms INTEGER NOT NULL DEFAULT 0;
