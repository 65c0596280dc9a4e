-- +goose Up

-- What both databases take: texts that compare as bytes, times in microseconds since
-- 1970 (0: never), nested data as JSON documents (package column). A document's form
-- belongs to the version of the schema.

CREATE TABLE accounts (
  id        TEXT COLLATE "binary" PRIMARY KEY,
  reference TEXT COLLATE "binary" NOT NULL,
  name      TEXT NOT NULL,
  name_key  TEXT COLLATE "binary" NOT NULL,
  sort      TEXT NOT NULL,
  locale    TEXT NOT NULL,
  policy    TEXT NOT NULL,
  created   BIGINT NOT NULL,
  version   BIGINT NOT NULL
);
CREATE UNIQUE INDEX accounts_reference ON accounts (reference) WHERE reference <> '';
CREATE INDEX accounts_reference_id ON accounts (reference, id);
CREATE INDEX accounts_name ON accounts (name_key, id);

CREATE TABLE sites (
  id        TEXT COLLATE "binary" PRIMARY KEY,
  account   TEXT COLLATE "binary" NOT NULL REFERENCES accounts (id),
  reference TEXT COLLATE "binary" NOT NULL,
  name      TEXT NOT NULL,
  name_key  TEXT COLLATE "binary" NOT NULL,
  area      TEXT COLLATE "binary" NOT NULL,
  grp       TEXT COLLATE "binary" NOT NULL,
  policy    TEXT NOT NULL,
  installer TEXT NOT NULL,
  created   BIGINT NOT NULL,
  version   BIGINT NOT NULL
);
CREATE UNIQUE INDEX sites_reference ON sites (reference) WHERE reference <> '';
CREATE INDEX sites_reference_id ON sites (reference, id);
CREATE INDEX sites_account ON sites (account, id);
CREATE INDEX sites_name ON sites (name_key, id);
CREATE INDEX sites_area ON sites (area, id);
CREATE INDEX sites_grp ON sites (grp, id);

-- account, area and grp are those of the site, here and in all that follows: lists
-- filter by them. enrolled is a part of the order of reports, identities counts how
-- often the router enrolled, desired is the version that is wanted, presence the time
-- of what is known of the connection, actual what the router says that is in force.
CREATE TABLE routers (
  id            TEXT COLLATE "binary" PRIMARY KEY,
  serial        TEXT COLLATE "binary" NOT NULL UNIQUE,
  site          TEXT COLLATE "binary" REFERENCES sites (id),
  account       TEXT COLLATE "binary" NOT NULL,
  area          TEXT COLLATE "binary" NOT NULL,
  grp           TEXT COLLATE "binary" NOT NULL,
  model         TEXT COLLATE "binary" NOT NULL,
  state         TEXT COLLATE "binary" NOT NULL,
  nkey          TEXT NOT NULL,
  claim_hash    BYTEA NOT NULL,
  claim_key     BYTEA NOT NULL,
  claim_expires BIGINT NOT NULL,
  created       BIGINT NOT NULL,
  version       BIGINT NOT NULL,

  enrolled      BIGINT NOT NULL DEFAULT 0,
  identities    BIGINT NOT NULL DEFAULT 0,
  reason        TEXT NOT NULL DEFAULT '',
  seen          BIGINT NOT NULL DEFAULT 0,
  online        BOOLEAN NOT NULL DEFAULT FALSE,
  presence      BIGINT NOT NULL DEFAULT 0,
  boot          BIGINT NOT NULL DEFAULT 0,
  agent         TEXT COLLATE "binary" NOT NULL DEFAULT '',
  wire          BIGINT NOT NULL DEFAULT 0,
  health        TEXT NOT NULL DEFAULT '{}',
  health_ord    TEXT COLLATE "binary" NOT NULL DEFAULT '',
  enforced      BIGINT NOT NULL DEFAULT 0,
  actual        TEXT NOT NULL DEFAULT '{}',
  actual_at     BIGINT NOT NULL DEFAULT 0,
  actual_ord    TEXT COLLATE "binary" NOT NULL DEFAULT '',
  desired       BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX routers_of_site ON routers (site) WHERE site IS NOT NULL AND state <> 'revoked';
CREATE INDEX routers_serial ON routers (serial, id);
CREATE INDEX routers_site ON routers (site, id);
CREATE INDEX routers_account ON routers (account, id);
CREATE INDEX routers_area ON routers (area, id);
CREATE INDEX routers_grp ON routers (grp, id);
CREATE INDEX routers_model ON routers (model, id);
CREATE INDEX routers_state ON routers (state, id);
CREATE INDEX routers_agent ON routers (agent, id);
CREATE INDEX routers_online ON routers (id) WHERE online;
CREATE INDEX routers_behind ON routers (id) WHERE online AND enforced < desired;

-- Which reports of a router were stored: ranges of numbers for each boot of each
-- identity (the time at which it enrolled).
CREATE TABLE heard (
  router   TEXT COLLATE "binary" NOT NULL REFERENCES routers (id),
  enrolled BIGINT NOT NULL,
  boot     BIGINT NOT NULL,
  ranges   TEXT NOT NULL,
  at       BIGINT NOT NULL,
  PRIMARY KEY (router, enrolled, boot)
);

-- ord orders reports of one site: what comes late never replaces what is newer.
CREATE TABLE devices (
  site      TEXT COLLATE "binary" NOT NULL REFERENCES sites (id),
  id        TEXT COLLATE "binary" NOT NULL,
  account   TEXT COLLATE "binary" NOT NULL,
  area      TEXT COLLATE "binary" NOT NULL,
  grp       TEXT COLLATE "binary" NOT NULL,
  label     TEXT COLLATE "binary" NOT NULL,
  maker     TEXT COLLATE "binary" NOT NULL,
  model     TEXT COLLATE "binary" NOT NULL,
  addr      TEXT COLLATE "binary" NOT NULL,
  device    TEXT NOT NULL,
  last      BIGINT NOT NULL,
  updated   BIGINT NOT NULL,
  ord       TEXT COLLATE "binary" NOT NULL,
  said      TEXT NOT NULL DEFAULT '{}',
  room      TEXT NOT NULL DEFAULT '',
  state     TEXT COLLATE "binary" NOT NULL DEFAULT 'watched',
  level     BIGINT NOT NULL DEFAULT 0,
  version   BIGINT NOT NULL DEFAULT 1,
  PRIMARY KEY (site, id)
);
CREATE INDEX devices_account ON devices (account, site, id);
CREATE INDEX devices_area ON devices (area, site, id);
CREATE INDEX devices_grp ON devices (grp, site, id) WHERE grp <> '';
CREATE INDEX devices_model ON devices (model, site, id) WHERE model <> '';
CREATE INDEX devices_state ON devices (state, site, id) WHERE state <> 'watched';
CREATE INDEX devices_watch ON devices (site, id) WHERE level >= 1;
CREATE INDEX devices_notify ON devices (site, id) WHERE level >= 2;
CREATE INDEX devices_act ON devices (site, id) WHERE level >= 3;
CREATE INDEX devices_label ON devices (label, site, id) WHERE label <> '';
CREATE INDEX devices_maker ON devices (maker, site, id) WHERE maker <> '';
CREATE INDEX devices_addr ON devices (addr, site, id) WHERE addr <> '';
CREATE INDEX devices_id ON devices (id, site);

-- kinds is "|scan.mirai|dos.syn|". An incident is open until it ended or somebody
-- closed it.
CREATE TABLE incidents (
  site      TEXT COLLATE "binary" NOT NULL REFERENCES sites (id),
  id        TEXT COLLATE "binary" NOT NULL,
  account   TEXT COLLATE "binary" NOT NULL,
  area      TEXT COLLATE "binary" NOT NULL,
  grp       TEXT COLLATE "binary" NOT NULL,
  router    TEXT COLLATE "binary" NOT NULL,
  device    TEXT COLLATE "binary" NOT NULL,
  level     BIGINT NOT NULL,
  opened    BIGINT NOT NULL,
  last      BIGINT NOT NULL,
  kinds     TEXT NOT NULL,
  incident  TEXT NOT NULL,
  ended     BOOLEAN NOT NULL,
  received  BIGINT NOT NULL,
  ord       TEXT COLLATE "binary" NOT NULL,
  closed    TEXT NOT NULL DEFAULT '',
  closer    TEXT NOT NULL DEFAULT '',
  note      TEXT NOT NULL DEFAULT '',
  version   BIGINT NOT NULL DEFAULT 1,
  PRIMARY KEY (site, id)
);
CREATE INDEX incidents_opened ON incidents (opened, site, id);
CREATE INDEX incidents_open ON incidents (opened, site, id) WHERE NOT ended AND closed = '';
CREATE INDEX incidents_open_of ON incidents (site, device) WHERE NOT ended AND closed = '';
CREATE INDEX incidents_notify ON incidents (opened, site, id) WHERE level >= 2;
CREATE INDEX incidents_act ON incidents (opened, site, id) WHERE level >= 3;
CREATE INDEX incidents_site ON incidents (site, opened, id);
CREATE INDEX incidents_account ON incidents (account, opened, site, id);
CREATE INDEX incidents_area ON incidents (area, opened, site, id);
CREATE INDEX incidents_grp ON incidents (grp, opened, site, id) WHERE grp <> '';
CREATE INDEX incidents_device ON incidents (device, opened, site, id);

-- The same kinds, to find the incidents of one. Its names differ from those of incidents,
-- which it is joined with.
CREATE TABLE incident_kinds (
  k_site   TEXT COLLATE "binary" NOT NULL,
  k_id     TEXT COLLATE "binary" NOT NULL,
  kind     TEXT COLLATE "binary" NOT NULL,
  k_opened BIGINT NOT NULL,
  PRIMARY KEY (k_site, k_id, kind),
  FOREIGN KEY (k_site, k_id) REFERENCES incidents (site, id) ON DELETE CASCADE
);
CREATE INDEX incident_kinds_kind ON incident_kinds (kind, k_opened, k_site, k_id);

CREATE TABLE detections (
  site      TEXT COLLATE "binary" NOT NULL REFERENCES sites (id),
  id        TEXT COLLATE "binary" NOT NULL,
  account   TEXT COLLATE "binary" NOT NULL,
  area      TEXT COLLATE "binary" NOT NULL,
  grp       TEXT COLLATE "binary" NOT NULL,
  router    TEXT COLLATE "binary" NOT NULL,
  agent     TEXT NOT NULL,
  device    TEXT COLLATE "binary" NOT NULL,
  kind      TEXT COLLATE "binary" NOT NULL,
  level     BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  shadowed  BOOLEAN NOT NULL,
  detection TEXT NOT NULL,
  received  BIGINT NOT NULL,
  PRIMARY KEY (site, id)
);
CREATE INDEX detections_at ON detections (at, site, id);
CREATE INDEX detections_account ON detections (account, at, site, id);
CREATE INDEX detections_site ON detections (site, at, id);
CREATE INDEX detections_device ON detections (device, at, site, id);
CREATE INDEX detections_area ON detections (area, at, site, id);
CREATE INDEX detections_kind ON detections (kind, at, site, id);

CREATE TABLE actions (
  site      TEXT COLLATE "binary" NOT NULL REFERENCES sites (id),
  id        TEXT COLLATE "binary" NOT NULL,
  account   TEXT COLLATE "binary" NOT NULL,
  area      TEXT COLLATE "binary" NOT NULL,
  grp       TEXT COLLATE "binary" NOT NULL,
  router    TEXT COLLATE "binary" NOT NULL,
  device    TEXT COLLATE "binary" NOT NULL,
  verb      TEXT COLLATE "binary" NOT NULL,
  mode      TEXT NOT NULL,
  at        BIGINT NOT NULL,
  expires   BIGINT NOT NULL,
  action    TEXT NOT NULL,
  orderer   TEXT NOT NULL,
  result    TEXT NOT NULL,
  error     TEXT NOT NULL,
  updated   BIGINT NOT NULL,
  ord       TEXT COLLATE "binary" NOT NULL,
  PRIMARY KEY (site, id)
);
CREATE INDEX actions_in_force ON actions (site, device) WHERE result IN ('done', 'unsure');
CREATE INDEX actions_at ON actions (at, site, id);
CREATE INDEX actions_account ON actions (account, at, site, id);
CREATE INDEX actions_site ON actions (site, at, id);
CREATE INDEX actions_device ON actions (device, at, site, id);
CREATE INDEX actions_area ON actions (area, at, site, id);
CREATE INDEX actions_verb ON actions (verb, at, site, id);

CREATE TABLE desired (
  site    TEXT COLLATE "binary" PRIMARY KEY REFERENCES sites (id),
  version BIGINT NOT NULL,
  at      BIGINT NOT NULL,
  policy  TEXT NOT NULL,
  desired TEXT NOT NULL
);

CREATE TABLE shadows (
  id      TEXT COLLATE "binary" PRIMARY KEY,
  kind    TEXT NOT NULL,
  model   TEXT NOT NULL,
  agent   TEXT NOT NULL,
  reason  TEXT NOT NULL,
  orderer TEXT NOT NULL,
  at      BIGINT NOT NULL,
  expires BIGINT NOT NULL
);

CREATE TABLE numbers (
  name  TEXT COLLATE "binary" PRIMARY KEY,
  value BIGINT NOT NULL
);

-- What devices of IoT classes did in a day. source and device are keyed hashes: the key
-- is forgotten, and what they stood for with it.
CREATE TABLE summaries (
  day     BIGINT NOT NULL,
  source  TEXT COLLATE "binary" NOT NULL,
  device  TEXT COLLATE "binary" NOT NULL,
  class   TEXT NOT NULL,
  maker   TEXT NOT NULL,
  model   TEXT NOT NULL,
  domains TEXT NOT NULL,
  other   BIGINT NOT NULL,
  PRIMARY KEY (day, source, device)
);

CREATE TABLE peppers (
  month  BIGINT PRIMARY KEY,
  pepper BYTEA NOT NULL
);

CREATE TABLE users (
  id       TEXT COLLATE "binary" PRIMARY KEY,
  email    TEXT COLLATE "binary" NOT NULL,
  name     TEXT NOT NULL,
  name_key TEXT COLLATE "binary" NOT NULL,
  locale   TEXT NOT NULL,
  password TEXT NOT NULL,
  disabled BOOLEAN NOT NULL,
  created  BIGINT NOT NULL,
  version  BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (email) WHERE email <> '';
CREATE INDEX users_email_id ON users (email, id);
CREATE INDEX users_name ON users (name_key, id);

-- token is '' for what the user may, else what that token may.
CREATE TABLE grants (
  usr     TEXT COLLATE "binary" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  token   TEXT COLLATE "binary" NOT NULL,
  role    TEXT COLLATE "binary" NOT NULL,
  account TEXT COLLATE "binary" NOT NULL,
  site    TEXT COLLATE "binary" NOT NULL,
  PRIMARY KEY (usr, token, role, account, site)
);
CREATE INDEX grants_account ON grants (account, usr) WHERE account <> '';
CREATE INDEX grants_site ON grants (site, usr) WHERE site <> '';

CREATE TABLE passkeys (
  id      BYTEA PRIMARY KEY,
  usr     TEXT COLLATE "binary" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name    TEXT NOT NULL,
  data    BYTEA NOT NULL,
  created BIGINT NOT NULL,
  used    BIGINT NOT NULL
);
CREATE INDEX passkeys_user ON passkeys (usr);

CREATE TABLE sessions (
  hash    BYTEA PRIMARY KEY,
  usr     TEXT COLLATE "binary" NOT NULL,
  agent   TEXT NOT NULL,
  addr    TEXT NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (usr);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE tokens (
  id      TEXT COLLATE "binary" PRIMARY KEY,
  hash    BYTEA NOT NULL UNIQUE,
  usr     TEXT COLLATE "binary" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name    TEXT NOT NULL,
  use     TEXT NOT NULL,
  created BIGINT NOT NULL,
  used    BIGINT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE INDEX tokens_user ON tokens (usr);
CREATE INDEX tokens_expires ON tokens (expires);

CREATE TABLE failures (
  subject TEXT COLLATE "binary" NOT NULL,
  at      BIGINT NOT NULL,
  id      TEXT COLLATE "binary" NOT NULL,
  PRIMARY KEY (subject, at, id)
);
CREATE INDEX failures_at ON failures (at);

CREATE TABLE audits (
  id      TEXT COLLATE "binary" PRIMARY KEY,
  at      BIGINT NOT NULL,
  usr     TEXT COLLATE "binary" NOT NULL,
  who     TEXT NOT NULL,
  role    TEXT NOT NULL,
  verb    TEXT COLLATE "binary" NOT NULL,
  account TEXT COLLATE "binary" NOT NULL,
  site    TEXT COLLATE "binary" NOT NULL,
  object  TEXT NOT NULL,
  reason  TEXT NOT NULL,
  result  TEXT NOT NULL,
  addr    TEXT NOT NULL
);
CREATE INDEX audits_at ON audits (at, id);
CREATE INDEX audits_user ON audits (usr, at, id) WHERE usr <> '';
CREATE INDEX audits_account ON audits (account, at, id) WHERE account <> '';
CREATE INDEX audits_site ON audits (site, at, id) WHERE site <> '';
CREATE INDEX audits_verb ON audits (verb, at, id);

CREATE TABLE answers (
  usr     TEXT COLLATE "binary" NOT NULL,
  idem    TEXT COLLATE "binary" NOT NULL,
  request BYTEA NOT NULL,
  answer  BYTEA NOT NULL,
  at      BIGINT NOT NULL,
  PRIMARY KEY (usr, idem)
);
CREATE INDEX answers_at ON answers (at);

CREATE TABLE webhooks (
  id      TEXT COLLATE "binary" PRIMARY KEY,
  account TEXT COLLATE "binary" NOT NULL REFERENCES accounts (id),
  url     TEXT NOT NULL,
  secret  BYTEA NOT NULL,
  events  TEXT NOT NULL,
  level   BIGINT NOT NULL,
  created BIGINT NOT NULL,
  failed  BIGINT NOT NULL,
  version BIGINT NOT NULL
);
CREATE INDEX webhooks_account ON webhooks (account, id);
