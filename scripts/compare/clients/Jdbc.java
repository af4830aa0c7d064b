import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.HexFormat;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** What pgjdbc gets, in each of its query modes: printed, to be compared. */
class Jdbc {
  public static void main(String[] args) throws Exception {
    String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
    for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"}) {
      Properties with = new Properties();
      with.setProperty("user", System.getenv("PGUSER"));
      with.setProperty("password", System.getenv("PGPASSWORD"));
      with.setProperty("sslmode", "disable");
      with.setProperty("gssEncMode", "disable");
      with.setProperty("preferQueryMode", mode);
      with.setProperty("binaryTransfer", "true");
      try (Connection c = DriverManager.getConnection(url, with)) {
        System.out.println("== " + mode);
        all(c);
      }
    }
  }

  static void all(Connection c) throws Exception {
    try (PreparedStatement p = c.prepareStatement("SELECT id, name, mood, born, score, tags, extra, picture FROM person WHERE id < ? ORDER BY id")) {
      for (int n = 0; n < 7; n++) { // prepared on the server from the fifth on
        p.setInt(1, 3 + n % 2);
        print(p.executeQuery());
      }
    }
    c.setAutoCommit(false);
    try (PreparedStatement p = c.prepareStatement("SELECT id, name FROM person ORDER BY id LIMIT 60")) {
      p.setFetchSize(7);
      print(p.executeQuery());
    }
    try (PreparedStatement p = c.prepareStatement("INSERT INTO note (person, body) VALUES (?, ?)", new String[] {"body"})) {
      for (int n = 1; n < 40; n++) {
        p.setInt(1, n);
        p.setString(2, "batch " + n);
        p.addBatch();
      }
      System.out.println(p.executeBatch().length);
      print(p.getGeneratedKeys());
    }
    Savepoint s = c.setSavepoint();
    failing(c, "SELECT 1/0");
    c.rollback(s);
    c.commit();
    failing(c, "SELECT nope FROM person");
    failing(c, "SELECT 1");
    c.rollback();
    c.setAutoCommit(true);
    try (Statement st = c.createStatement()) {
      boolean rows = st.execute("SELECT 1; UPDATE person SET score = score + 1 WHERE id < 5; SELECT shout('x')");
      for (;;) {
        if (rows) print(st.getResultSet());
        else if (st.getUpdateCount() < 0) break;
        else System.out.println("updated " + st.getUpdateCount());
        rows = st.getMoreResults();
      }
      System.out.println(st.getWarnings() == null ? "none" : st.getWarnings().getMessage());
    }
    CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
    StringWriter out = new StringWriter();
    System.out.println(copy.copyOut("COPY (SELECT * FROM part ORDER BY 1, 2) TO STDOUT", out) + " " + out.toString().length());
    System.out.println(copy.copyIn("COPY part FROM STDIN", new StringReader("700\ta\n701\tq\n")));
    try {
      copy.copyIn("COPY part FROM STDIN", new StringReader("x\ta\n"));
    } catch (SQLException e) {
      System.out.println(e.getSQLState());
    }
    DatabaseMetaData meta = c.getMetaData();
    print(meta.getTables(null, "public", "%", null));
    print(meta.getColumns(null, "public", "person", "%"));
    print(meta.getPrimaryKeys(null, "public", "person"));
  }

  static void failing(Connection c, String sql) {
    try (Statement st = c.createStatement()) {
      st.execute(sql);
      System.out.println("passed");
    } catch (SQLException e) {
      System.out.println(e.getSQLState() + " " + e.getMessage());
    }
  }

  static void print(ResultSet r) throws SQLException {
    int width = r.getMetaData().getColumnCount();
    while (r.next()) {
      StringBuilder row = new StringBuilder();
      for (int n = 1; n <= width; n++) row.append(r.getObject(n) instanceof byte[] bytes ? HexFormat.of().formatHex(bytes) : r.getString(n)).append('|');
      System.out.println(row);
    }
  }
}
