-- What only the ledger keeps, beside the log and never derived from it. Deleting these rows erases a person.

CREATE TABLE envelope (
    locator bytea    NOT NULL,
    slot    smallint NOT NULL,           -- 1 face, 2 rest
    body    bytea    NOT NULL,
    PRIMARY KEY (locator, slot)
);

-- HMACs, each under the key of its own purpose; the keys are outside the database.
CREATE TABLE private_index (
    hmac        bytea    PRIMARY KEY,
    purpose     smallint NOT NULL,
    key_version smallint NOT NULL,
    body        bytea    NOT NULL
);
