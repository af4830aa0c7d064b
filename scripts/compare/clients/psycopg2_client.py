"""What psycopg2 gets: printed, to be compared."""
import io
import psycopg2
import psycopg2.extras

conn = psycopg2.connect("")
with conn, conn.cursor() as cur:
    cur.execute("SELECT id, name, mood, born, score, tags, extra, pair FROM person WHERE id < %s ORDER BY id", (4,))
    print(cur.fetchall(), [c[:2] for c in cur.description], cur.statusmessage)
    psycopg2.extras.execute_values(cur, "INSERT INTO note (person, body) VALUES %s RETURNING body", [(n % 200 + 1, f"v{n}") for n in range(1, 250)], page_size=100)
    print(cur.fetchall()[-1], cur.rowcount)
    psycopg2.extras.execute_batch(cur, "UPDATE person SET score = score + %s WHERE id = %s", [(1, n) for n in range(1, 120)])
    out = io.StringIO()
    cur.copy_expert("COPY (SELECT * FROM part ORDER BY 1, 2) TO STDOUT (FORMAT csv)", out)
    print(len(out.getvalue()), out.getvalue()[:30])
    cur.copy_expert("COPY part FROM STDIN (FORMAT csv)", io.StringIO("900,a\n901,z\n"))
    print(cur.rowcount)
    cur.callproc("shout", ("called",))
    print(cur.fetchone())
print(conn.notices)
try:
    with conn, conn.cursor() as cur:
        cur.execute("INSERT INTO part VALUES (1, 'a'); SELECT 1/0")
except psycopg2.Error as error:
    print(error.pgcode, error.pgerror)
with conn, conn.cursor("served") as cur:
    cur.itersize = 10
    cur.execute("SELECT id FROM person ORDER BY id LIMIT 35")
    print([row[0] for row in cur])
conn.autocommit = True
with conn.cursor() as cur:
    cur.execute("SELECT count(*) FROM part")
    print(cur.fetchone(), conn.status, conn.encoding)
conn.close()
