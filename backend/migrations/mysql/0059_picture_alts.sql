-- The alternative texts of a product's pictures, a line each, in the order of the
-- pictures: up to five of at most 200 characters. An empty line is the title.
ALTER TABLE round_products ADD COLUMN picture_alt VARCHAR(1010) NOT NULL DEFAULT '';
