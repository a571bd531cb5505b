-- What is not held is the empty text: the match compares texts only.
CREATE UNLOGGED TABLE people (
    number bigint NOT NULL,
    life text NOT NULL,
    name text NOT NULL,
    birth text NOT NULL,
    sex text NOT NULL,
    phones text NOT NULL,
    issued text NOT NULL,
    expires text NOT NULL,
    old text NOT NULL,
    province text NOT NULL
);
CREATE UNLOGGED TABLE aliases (old bigint NOT NULL, number bigint NOT NULL);
COPY people FROM '@FOLDER@/people.tsv';
COPY aliases FROM '@FOLDER@/aliases.tsv';
ALTER TABLE people ADD PRIMARY KEY (number);
CREATE UNIQUE INDEX aliases_old ON aliases (old);
VACUUM (ANALYZE) people;
VACUUM (ANALYZE) aliases;
