-- A product may have several pictures: up to five names of at most 26 characters,
-- divided by commas.
ALTER TABLE round_products MODIFY picture VARCHAR(255) NOT NULL DEFAULT '';
