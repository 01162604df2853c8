-- How a product's amount is divided among its stock segments, such as
-- '3000,3000,4000'. Empty in round_products: evenly, decided at the approval;
-- what was decided then stands in frozen_stock.
ALTER TABLE round_products ADD COLUMN segments VARCHAR(1100) NOT NULL DEFAULT '';
ALTER TABLE frozen_stock ADD COLUMN segments VARCHAR(1100) NOT NULL DEFAULT '';
