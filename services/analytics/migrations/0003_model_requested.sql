-- What clients ask for is theirs to choose: as many values as they like, and too many for a dictionary.
ALTER TABLE calls MODIFY COLUMN model_requested String CODEC(ZSTD(1));
