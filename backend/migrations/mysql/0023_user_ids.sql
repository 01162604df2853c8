-- A buyer's id is as long as the shop's login makes it: 255 bytes, each of which may be
-- written as three. Written ids are ASCII, which also keeps them within an index.
ALTER TABLE orders MODIFY user VARCHAR(765) CHARACTER SET ascii COLLATE ascii_bin NOT NULL;
ALTER TABLE findings MODIFY subject VARCHAR(765) CHARACTER SET ascii COLLATE ascii_bin NOT NULL;
-- A ban of such a buyer is noted too; its beginning finds it.
ALTER TABLE audit
    DROP KEY audit_of_target,
    MODIFY target VARCHAR(800) NOT NULL DEFAULT '',
    ADD KEY audit_of_target (target(128), id);
