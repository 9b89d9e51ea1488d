package artifact

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServerServesNothingElse(t *testing.T) {
	s := newStore(t, Options{})
	published, file := publish(t, s, owner, layer(regular("a", "1")))
	hex, _ := hexOf(published.Digest)
	temp, cleanup, err := s.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	zero := strings.Repeat("0", 64)
	plant(t, s, s.relative(temp, hex+archiveSuffix), "x")
	plant(t, s, hex+archiveSuffix, "x")
	plant(t, s, archiveFolder+"/"+hex+archiveSuffix, "x")
	plant(t, s, owner.folder()+"/notes.txt", "x")
	plant(t, s, owner.folder()+"/"+hex[1:]+archiveSuffix, "x")
	plant(t, s, owner.folder()+"/"+strings.ToUpper(hex)+archiveSuffix, "x")
	plant(t, s, Owner{"Upper", "x"}.archive(hex), "x")
	plant(t, s, Owner{"x", "Upper"}.archive(hex), "x")
	plant(t, s, owner.folder()+"/sub/"+hex+archiveSuffix, "x")
	plant(t, s, owner.archive(zero)+"/x", "a folder of that name")
	ones := strings.Repeat("1", 64)
	if err := os.Symlink(filepath.Base(file), filepath.Join(s.dir, owner.archive(ones))); err != nil {
		t.Fatal(err)
	}
	base := start(t, s)
	cases := map[string]string{
		"the root":                      "",
		"the kind":                      archiveFolder,
		"the kind's folder":             archiveFolder + "/",
		"the owner's folder":            owner.folder(),
		"the owner's folder, listed":    owner.folder() + "/",
		"an index":                      owner.folder() + "/index.html",
		"the signatures":                owner.signatures(hex),
		"a temporary file":              s.relative(temp, hex+archiveSuffix),
		"a file at the root":            hex + archiveSuffix,
		"a file of the kind":            archiveFolder + "/" + hex + archiveSuffix,
		"a file deeper":                 owner.folder() + "/sub/" + hex + archiveSuffix,
		"any file":                      owner.folder() + "/notes.txt",
		"a folder of an archive's name": owner.archive(zero),
		"a link of an archive's name":   owner.archive(ones),
		"an archive that is not there":  owner.archive(strings.Repeat("2", 64)),
		"upper case":                    owner.folder() + "/" + strings.ToUpper(hex) + archiveSuffix,
		"a short name":                  owner.folder() + "/" + hex[1:] + archiveSuffix,
		"no suffix":                     owner.folder() + "/" + hex,
		"a slash at the end":            published.Path + "/",
		"a slash at the start":          "/" + published.Path,
		"two slashes":                   strings.Replace(published.Path, "/", "//", 1),
		"a dot":                         "./" + published.Path,
		"a parent":                      "x/../" + published.Path,
		"a parent out of the root":      "../../../../../../etc/passwd",
		"a parent in the name":          archiveFolder + "/modules/../modules/podinfo/" + hex + archiveSuffix,
		"a parent in place of a name":   archiveFolder + "/modules/../" + hex + archiveSuffix,
		"no owner's namespace":          Owner{"Upper", "x"}.archive(hex),
		"no owner's name":               Owner{"x", "Upper"}.archive(hex),
		"another kind":                  "x" + published.Path,
		"a slash that is escaped":       strings.Replace(published.Path, "/", "%2F", 1),
		"a letter that is escaped":      strings.Replace(published.Path, "modulesource", "%6dodulesource", 1),
		"a NUL":                         published.Path + "%00",
		"a backslash":                   strings.ReplaceAll(published.Path, "/", "%5C"),
		"another owner":                 Owner{"modules", "other"}.archive(hex),
		"another namespace":             Owner{"other", "podinfo"}.archive(hex),
	}
	for name, path := range cases {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD"} {
				// As it is: a client might clean the path.
				status, header, body := askRaw(t, base, method+" /"+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				if status != http.StatusNotFound {
					t.Errorf("%s: expected 404, found %d", method, status)
				}
				for _, key := range []string{"Location", "ETag", "Accept-Ranges"} {
					if value := header.Get(key); value != "" {
						t.Errorf("%s: found %s: %s", method, key, value)
					}
				}
				if want := "not found\n"; method == "GET" && body != want {
					t.Errorf("expected %q, found %q", want, body)
				}
			}
		})
	}
}

// askRaw sends a request as it is written.
func askRaw(t *testing.T, base, request string) (int, http.Header, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(base, "http:"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

func TestServerRefusesMethods(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	base := start(t, s)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"} {
		for _, target := range []string{"/" + published.Path, "/", "/none", "*"} {
			status, header, _ := askRaw(t, base, method+" "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			if method == "CONNECT" && status == http.StatusBadRequest {
				continue // A path is no target of it, says net/http.
			}
			if status != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: expected 405 and what is allowed, found %d, %q", method, target, status, header.Get("Allow"))
			}
		}
	}
	if !s.Holds(owner, published.Path, published.Digest) {
		t.Error("expected the archive to be there still")
	}
}

func TestServerRefusesLongHeaders(t *testing.T) {
	base := start(t, newStore(t, Options{}))
	status, _, _ := askRaw(t, base, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 2*maxHeaderBytes)+"\r\n\r\n")
	if status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("expected 431, found %d", status)
	}
}

func TestServerHidesErrors(t *testing.T) {
	s := newStore(t, Options{})
	published, file := publish(t, s, owner, layer(regular("a", "1")))
	base := start(t, s)
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	plant(t, s, owner.folder(), "a file where the folder was")
	response, body := ask(t, "GET", base+published.Path, nil)
	if response.StatusCode != http.StatusInternalServerError || strings.Contains(string(body), "podinfo") {
		t.Errorf("expected 500 without details, found %s: %s", response.Status, body)
	}
}

// Behind another handler, such as http.StripPrefix, a path can lack its root.
func TestHandlerByItself(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	handler := (&Server{Store: s}).Handler()
	for path, want := range map[string]int{"/" + published.Path: 200, published.Path: 404, "": 404} {
		request := httptest.NewRequest("GET", "/", nil)
		request.URL.Path = path
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != want {
			t.Errorf("%q: expected %d, found %d", path, want, recorder.Code)
		}
	}
}
