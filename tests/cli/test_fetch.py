"""plimsoll fetch, from a server on this machine."""

import hashlib
import http.server
import os
import socket
import threading

import command_test
from command_test import SHARED, CommandTest

FRAMED = ("\ufeffThe Project Gutenberg eBook of Treasure Island\r\n\r\n"
          "*** START OF THE PROJECT GUTENBERG EBOOK TREASURE ISLAND ***\r\n\r\n\r\n"
          "   TREASURE ISLAND\r\n\r\n\u201cPieces of eight!\u201d\r\n\r\n\r\n"
          "End of Project Gutenberg's Treasure Island, by Robert Louis Stevenson\r\n\r\n"
          "*** END OF THE PROJECT GUTENBERG EBOOK TREASURE ISLAND ***\r\nLicence\r\n")
BOOK = "   TREASURE ISLAND\n\n\u201cPieces of eight!\u201d\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        getattr(self, "get_" + self.path.strip("/").replace("-", "_"), self.get_nothing)()

    def answer(self, content, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def get_nothing(self):
        self.send_error(404)

    def get_framed(self):
        self.answer(FRAMED.encode())

    def get_expected(self):
        book = (SHARED / "data" / "treasure-island.txt").read_text(encoding="utf-8")
        self.answer(FRAMED.replace(BOOK.replace("\n", "\r\n"), book.replace("\n", "\r\n")).encode())

    def get_moved(self):
        self.answer(b"", 302, Location="/framed")

    def get_in_circles(self):
        self.answer(b"", 302, Location="/in-circles")

    def get_to_a_file(self):
        self.answer(b"", 302, Location="file:///etc/passwd")

    def get_cut_off(self):
        self.answer(FRAMED.encode(), **{"Content-Length": "100000"})

    def get_half(self):
        self.answer(FRAMED[:200].encode())

    def get_page(self):
        self.answer(b"<html>Please log in</html>")

    def get_bytes(self):
        self.answer(FRAMED.encode("utf-16"))

    def get_announced(self):
        self.answer(b"", **{"Content-Length": str(1 << 40)})

    def get_endless(self):
        try:
            self.answer(b"")
            for _ in range(1 << 10):
                self.wfile.write(bytes(1 << 16))
        except OSError:
            pass  # the other side has had enough

    def get_silent(self):
        self.server.released.wait(30)

    def log_message(self, *arguments):
        pass


class Fetch(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        cls.server.released = threading.Event()
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.host = f"127.0.0.1:{cls.server.server_port}"

    @classmethod
    def tearDownClass(cls):
        cls.server.released.set()
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        super().setUp()
        self.file = self.folder / "book.txt"

    def arguments(self, path, *more):
        return ["fetch", "treasure-island", "--url", f"http://{self.host}/{path}", "-o", self.file, *more]

    def plimsoll(self, *arguments, **more):
        return super().plimsoll(*arguments, env={**os.environ, "no_proxy": "127.0.0.1,localhost"}, **more)

    def refused(self, path, *mentions, more=()):
        self.file.write_text("as it was")
        self.assert_refused(self.arguments(path, *more), self.host, *mentions)
        self.assertEqual(self.file.read_text(), "as it was")
        self.assertEqual(list(self.folder.iterdir()), [self.file])

    @command_test.needs_shared("data/treasure-island.txt")
    def test_the_expected_edition(self):
        done = self.succeed(*self.arguments("expected"))
        self.assertEqual(self.file.read_bytes(), (SHARED / "data" / "treasure-island.txt").read_bytes())
        self.assertEqual(done.stderr, "")
        self.assertIn(hashlib.sha256(self.file.read_bytes()).hexdigest(), done.stdout.decode())

    def test_another_edition(self):
        for path in ("framed", "moved"):
            done = self.succeed(*self.arguments(path))
            self.assertEqual(self.file.read_bytes().decode(), BOOK)
            self.assertRegex(done.stderr, r"\Awarning: [^\n]+\n\Z")
            self.assertIn(hashlib.sha256(BOOK.encode()).hexdigest(), done.stderr)
            self.assertIn("058fbf8fcfdac9edc9750180a859be602296c0f84e40e6546bebbde883f84c49", done.stderr)

    def test_bad_answers(self):
        self.refused("nowhere", "404")
        self.refused("in-circles", "redirect")
        self.refused("to-a-file", "file")
        self.refused("cut-off", "cannot download")
        self.refused("half", "*** END OF")
        self.refused("page", "*** START OF", hashlib.sha256(b"<html>Please log in</html>\n").hexdigest())
        self.refused("bytes", "UTF-8")
        self.refused("announced", "at most 16.8 MB")
        self.refused("endless", "at most 16.8 MB")

    def test_a_silent_server(self):
        done = self.plimsoll(*self.arguments("silent", "--timeout", "1"))
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"plimsoll: {self.host}: cannot download", done.stderr.splitlines()[-1])
        self.assertFalse(self.file.exists())

    def test_no_server(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # taken, but nobody listens
            url = "http://127.0.0.1:%d/" % unused.getsockname()[1]
            self.assert_refused(["fetch", "treasure-island", "--url", url, "-o", self.file], url, "onnect")
        self.assertFalse(self.file.exists())

    def test_flags(self):
        self.assert_refused(["fetch", "moby-dick"], "moby-dick", "treasure-island")
        for url in ("file:///etc/passwd", "ftp://127.0.0.1/", "treasure"):
            self.assert_refused(["fetch", "treasure-island", "--url", url, "-o", self.file], "--url", "http")
        missing = self.folder / "none" / "book.txt"
        self.assert_refused(["fetch", "treasure-island", "-o", missing], missing)


if __name__ == "__main__":
    command_test.main()
