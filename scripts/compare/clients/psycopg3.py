"""What psycopg 3 gets: printed, to be compared."""
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

notices = []
with psycopg.connect("", autocommit=True) as conn:
    conn.add_notice_handler(lambda d: notices.append((d.severity, d.sqlstate, d.message_primary)))
    for binary in (False, True):
        cur = conn.cursor(binary=binary)
        for row in cur.execute(
            "SELECT id, name, mood::text, born, score, tags, extra, picture, 1.5::float8, true, NULL"
            " FROM person WHERE id = ANY(%s) ORDER BY id", ([1, 4, 200],)):
            print(row)
        print([(c.name, c.type_code, c.internal_size) for c in cur.description])
        print(cur.execute("SELECT %b::int, %t::text, %s::jsonb", (7, "ü", '{"a": 1}')).fetchall(), cur.statusmessage)
    for n in range(8):  # prepared from the fifth on
        print(conn.execute("SELECT count(*) FROM note WHERE id > %s", (n * 30,), prepare=None).fetchone())
    print(conn.execute("SELECT name, statement FROM pg_prepared_statements ORDER BY 2").fetchall() != [])
    try:
        conn.execute("SELECT 1 / %s::int", (0,))
    except psycopg.Error as error:
        print(error.sqlstate, error.diag.message_primary, error.diag.source_function)
    with conn.pipeline() as pipe:
        with conn.transaction():
            results = [conn.execute("INSERT INTO note (person, body) VALUES (%s, %s) RETURNING body", (n, f"p{n}")) for n in range(1, 6)]
            pipe.sync()
            print([r.fetchone() for r in results])
    try:
        with conn.pipeline():
            a = conn.execute("INSERT INTO note (person, body) VALUES (1, 'kept?') RETURNING body")
            b = conn.execute("SELECT 1/0")
            c = conn.execute("INSERT INTO note (person, body) VALUES (2, 'never')")
            print(b.fetchone())
    except psycopg.Error as error:
        print(type(error).__name__, error.sqlstate)
    print(conn.execute("SELECT count(*) FROM note WHERE body IN ('kept?', 'never')").fetchone())
    with conn.cursor() as cur, cur.copy("COPY (SELECT id, body FROM note WHERE id < 40 ORDER BY id) TO STDOUT") as copy:
        for row in copy.rows():
            print(row)
    with conn.cursor() as cur, cur.copy("COPY note (person, body) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", "text"])
        for n in range(1, 50):
            copy.write_row((n, "copied" * n))
    print(conn.execute("SELECT count(*), sum(length(body)) FROM note WHERE body LIKE 'copied%'").fetchone())
    try:
        with conn.cursor() as cur, cur.copy("COPY note (person, body) FROM STDIN") as copy:
            copy.write("not a number\tx\n")
    except psycopg.Error as error:
        print(error.sqlstate, error.diag.context)
    try:
        with conn.cursor() as cur, cur.copy("COPY note (person, body) FROM STDIN") as copy:
            copy.write("1\tx\n")
            raise KeyError("given up")
    except (KeyError, psycopg.errors.QueryCanceled) as error:
        print("given up", type(error).__name__, conn.execute("SELECT 1").fetchone())
    with conn.transaction():
        with conn.cursor(name="served", row_factory=dict_row) as cur:
            cur.itersize = 9
            cur.execute("SELECT id, name FROM person ORDER BY id LIMIT 25")
            print(list(cur))
    try:
        with conn.transaction():
            conn.execute("INSERT INTO note (person) VALUES (1)")
            with conn.transaction():
                conn.execute("SELECT nope")
    except psycopg.Error as error:
        print(error.sqlstate, conn.info.transaction_status)
    heard = []
    conn.add_notify_handler(lambda n: heard.append((n.channel, n.payload)))
    conn.execute("LISTEN ear")
    conn.execute("SELECT shout('x')")
    conn.execute(sql.SQL("NOTIFY {}, 'word'").format(sql.Identifier("ear")))
    conn.execute("SELECT 1")
    print(heard)
    print(notices, conn.info.parameter_status("server_version") is not None, conn.info.encoding)
