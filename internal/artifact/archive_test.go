package artifact

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenDigest is that of goldenTree. It must never change: people pin the
// digests of archives, and a lost volume is rebuilt byte for byte the same.
const goldenDigest = "sha256:f5c53f7935cd8a97b1f665a47d20fc8145b1b640974f05e85aa1d31f3af7e402"

// goldenTree has one of each kind of header and of each length of block.
var goldenTree = map[string]string{
	"timoni.cue":             "644 package main\n",
	"run.sh":                 "755 #!/bin/sh\n",
	"empty":                  "644 ",
	"block":                  "644 " + strings.Repeat("b", 512),
	"large":                  "644 " + strings.Repeat("0123456789abcde\n", 12_500),
	"a-b":                    "644 sorted before a/b, as bytes are",
	"a/b":                    "644 sorted after a-b",
	strings.Repeat("n", 100): "644 fits the name",
	strings.Repeat("n", 101): "644 fits nothing",
	strings.Repeat("p", 155) + "/" + strings.Repeat("n", 100):                               "755 fits prefix and name",
	strings.Repeat("p", 156) + "/" + strings.Repeat("n", 99):                                "644 has a long prefix",
	strings.Repeat("p", 50) + "/" + strings.Repeat("q", 50) + "/" + strings.Repeat("r", 50): "644 is split at the last slash",
	strings.Repeat("s", 99) + "/" + strings.Repeat("n", 101):                                "644 has a slash where its stand-in ends",
	strings.Repeat("d/", 511) + "f":                                                         "644 as deep as can be",
	"grüße/日本語.txt":                                                                         "644 not ASCII",
	"e\u0301":                                                                               "644 not normalised",
	"é":                                                                                     "644 not normalised",
	"spaces and = signs":                                                                    "644 \x00\xff",
}

func goldenItems() []item {
	var items []item
	for name, text := range goldenTree {
		mode, body, _ := strings.Cut(text, " ")
		i := item{name: "x", body: body, pax: map[string]string{"path": name}}
		if mode == "755" {
			i.mode = 0o755
		}
		items = append(items, i)
	}
	return items
}

func TestArchiveGolden(t *testing.T) {
	published, file := publish(t, newStore(t, Options{}), owner, layer(goldenItems()...))
	if published.Digest != goldenDigest {
		t.Errorf("the archive format changed: expected %s, found %s", goldenDigest, published.Digest)
	}
	if diff := cmp.Diff(goldenTree, readArchive(t, file)); diff != "" {
		t.Errorf("archive/tar reads something else (-want +got):\n%s", diff)
	}
}

func TestArchiveIsReadBySystemTar(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("there is no tar on this machine")
	}
	_, file := publish(t, newStore(t, Options{}), owner, layer(goldenItems()...))
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", file, "-C", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := "644 "
		if info.Mode()&0o100 != 0 {
			mode = "755 "
		}
		if info.ModTime().Unix() != 0 {
			t.Errorf("%q is of %v", name, info.ModTime())
		}
		relative, err := filepath.Rel(dir, name)
		found[filepath.ToSlash(relative)] = mode + string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goldenTree, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The same tree has the same digest, however it came.
func TestArchiveIsAFunctionOfTheTree(t *testing.T) {
	want, _ := publish(t, newStore(t, Options{}), owner, layer(regular("a", "1"), item{name: "d/b", body: "2", mode: 0o755}))
	cases := map[string][][]byte{
		"entries in another order": {layer(item{name: "d/b", body: "2", mode: 0o755}, regular("a", "1"))},
		"one layer each":           {layer(item{name: "d/b", body: "2", mode: 0o755}), layer(regular("a", "1"))},
		"layers in another order":  {layer(regular("a", "1")), layer(item{name: "d/b", body: "2", mode: 0o755})},
		"a file replaced":          {layer(regular("a", "0"), item{name: "d/b", body: "2", mode: 0o755}), layer(regular("a", "1"))},
		"folders":                  {layer(dir("./"), dir("./d/"), regular("./a", "1"), item{name: "./d/b", body: "2", mode: 0o711})},
		"other modes":              {layer(item{name: "a", body: "1", mode: 0o600}, item{name: "d/b", body: "2", mode: 0o1}, dir("empty"))},
		"times and attributes":     {layer(item{name: "a", body: "1", pax: map[string]string{"mtime": "1234.5", "uid": "7", "SCHILY.xattr.user.a": "b"}}, item{name: "d/b", body: "2", mode: 0o755})},
		"another compression":      {zipStored(tarOf(regular("a", "1"), item{name: "d/b", body: "2", mode: 0o755}))},
	}
	for name, layers := range cases {
		t.Run(name, func(t *testing.T) {
			got, _ := publish(t, newStore(t, Options{}), owner, layers...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name, layers := range map[string][][]byte{
		"other contents": {layer(regular("a", "2"), item{name: "d/b", body: "2", mode: 0o755})},
		"another mode":   {layer(regular("a", "1"), regular("d/b", "2"))},
		"another name":   {layer(regular("A", "1"), item{name: "d/b", body: "2", mode: 0o755})},
		"layers swapped": {layer(regular("a", "1")), layer(regular("a", "0"), item{name: "d/b", body: "2", mode: 0o755})},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := publish(t, newStore(t, Options{}), owner, layers...); got.Digest == want.Digest {
				t.Error("another tree has the same digest")
			}
		})
	}
}

// The framing is that of the comment on storedGzip, at each edge of a block.
func TestStoredGzipFraming(t *testing.T) {
	for _, size := range []int{0, 1, 65534, 65535, 65536, 131070, 131071} {
		data := []byte(incompressible(size))
		framed := zipStored(data)
		blocks := max(1, (size+65534)/65535)
		if want := 10 + 5*blocks + size + 8; len(framed) != want {
			t.Errorf("%d bytes: expected a frame of %d, found %d", size, want, len(framed))
		}
		// However it is written.
		var bytewise bytes.Buffer
		z := newStoredGzip(&bytewise)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1000)
			if _, err := z.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(framed, bytewise.Bytes()) {
			t.Errorf("%d bytes: the frame depends on how it is written", size)
		}
		unzipped, err := unzip(framed)
		if err != nil || !bytes.Equal(unzipped, data) {
			t.Errorf("%d bytes: read back %d, %v", size, len(unzipped), err)
		}
	}
}

func TestWriteArchiveWantsAllContents(t *testing.T) {
	short := strings.NewReader("123")
	if err := writeArchive(io.Discard, []file{{name: "a", size: 4}}, short); err == nil {
		t.Error("expected an error for a spool that is too short")
	}
}
