-- What later statements need to find again. Both tables follow from the entries; fsck compares them.

-- The certificates and corrections that the record keys of a filing signed, in the order of the log.
CREATE TABLE signed (
    filing   text     NOT NULL,
    idx      bigint   NOT NULL,
    kind     smallint NOT NULL,
    cert_key bytea    NOT NULL,
    kid      bytea    NOT NULL,
    day      integer  NOT NULL,          -- issue date, or effective day of a correction
    PRIMARY KEY (filing, idx)
);

-- The statements that changed a certificate after it was issued.
CREATE TABLE event (
    cert_key bytea  NOT NULL,
    idx      bigint NOT NULL,
    PRIMARY KEY (cert_key, idx)
);
