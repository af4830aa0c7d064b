-- A small shop. Figures are made up, and the same at every start.
CREATE TABLE customers (
  id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL,
  email      text NOT NULL UNIQUE,
  phone      text,
  tier       text NOT NULL DEFAULT 'standard',
  created_at timestamptz NOT NULL
);
CREATE TABLE products (
  id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name  text NOT NULL,
  price numeric(10, 2) NOT NULL,
  stock integer NOT NULL
);
CREATE TABLE orders (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers,
  product_id  integer NOT NULL REFERENCES products,
  quantity    integer NOT NULL,
  status      text NOT NULL,
  placed_at   timestamptz NOT NULL
);
CREATE TABLE payments (
  id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id   integer NOT NULL REFERENCES orders,
  amount     numeric(10, 2) NOT NULL,
  status     text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE TABLE tickets (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers,
  body        text NOT NULL,
  opened_at   timestamptz NOT NULL
);
CREATE TABLE tmp_import_0931 (line integer, raw text);
CREATE SCHEMA internal;
CREATE TABLE internal.api_keys (name text PRIMARY KEY, secret text NOT NULL);

INSERT INTO customers (name, email, phone, tier, created_at)
SELECT f || ' ' || l, lower(f) || '.' || lower(l) || n || '@example.com',
       '+44 20 7946 0' || lpad((n * 37 % 1000)::text, 3, '0'),
       CASE WHEN n % 11 = 0 THEN 'gold' WHEN n % 5 = 0 THEN 'silver' ELSE 'standard' END,
       timestamptz '2024-01-01' + n * interval '9 hours'
FROM (SELECT n, (ARRAY['Mira','Jonas','Aisha','Pavel','Noor','Luca','Ines','Tomas','Yuki','Femi'])[1 + n % 10] AS f,
             (ARRAY['Haddad','Osei','Lind','Novak','Moreau','Silva','Kimura','Berg','Rossi'])[1 + n * 7 % 9] AS l
      FROM generate_series(1, 400) AS n) AS names;

INSERT INTO products (name, price, stock)
SELECT p, 4.5 + i * 7.25, 20 + i * 13 % 90
FROM unnest(ARRAY['Tea, first flush','Tea, smoked','Pour-over kettle','Porcelain cup','Filter papers','Scale','Grinder','Canister']) WITH ORDINALITY AS t(p, i);

INSERT INTO orders (customer_id, product_id, quantity, status, placed_at)
SELECT 1 + n * 13 % 400, 1 + n % 8, 1 + n % 4,
       (ARRAY['shipped','shipped','shipped','packed','new','cancelled'])[1 + n % 6],
       timestamptz '2026-11-20' - n * interval '47 minutes'
FROM generate_series(1, 6000) AS n;

INSERT INTO payments (order_id, amount, status, created_at)
SELECT o.id, p.price * o.quantity,
       CASE WHEN o.id % 5 = 0 THEN 'abandoned' WHEN o.id % 31 = 0 THEN 'refunded' ELSE 'settled' END, o.placed_at
FROM orders AS o JOIN products AS p ON p.id = o.product_id;

-- What people write into a text: the numbers are the card schemes' own samples.
INSERT INTO tickets (customer_id, body, opened_at)
SELECT 17 + n, (ARRAY[
         'My card 4111 1111 1111 1111 was charged twice, please look into it.',
         'Can I have my gold tier back? Reach me at +44 20 7946 0958 after six.',
         'The kettle came with a dent. Write to home' || n || '@example.org, not to the shop address.',
         'Refund to DE89 3704 0044 0532 0130 00 please.',
         'Where is my order?'])[1 + n % 5],
       timestamptz '2026-11-20' - n * interval '5 hours'
FROM generate_series(0, 99) AS n;

INSERT INTO tmp_import_0931 SELECT n, 'row ' || n FROM generate_series(1, 250) AS n;
INSERT INTO internal.api_keys VALUES ('shipping', 'sk_sample_not_a_real_key');

CREATE ROLE app_rw LOGIN PASSWORD 'app_rw';
GRANT USAGE, CREATE ON SCHEMA public TO app_rw;
GRANT USAGE ON SCHEMA internal TO app_rw;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public, internal TO app_rw;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app_rw;
ALTER TABLE tmp_import_0931 OWNER TO app_rw;
