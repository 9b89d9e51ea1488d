package artifact

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// item is one entry of a tar stream as an attacker writes it: whatever stands
// here goes into the header as it is.
type item struct {
	name string
	body string
	kind byte              // the type flag; zero is a regular file, or a folder if the name ends in a slash
	mode int64             // zero is 0644
	size string            // the size field; empty is the body's
	pax  map[string]string // an extended header before it
}

// raw is the item's blocks, in a ustar header that is built here and not by the
// code under test.
func (i item) raw() []byte {
	var out bytes.Buffer
	if len(i.pax) > 0 {
		var records strings.Builder
		for key, value := range i.pax {
			records.WriteString(record(key, value))
		}
		out.Write(item{name: "PaxHeaders/x", kind: 'x', body: records.String()}.raw())
	}
	kind := i.kind
	if kind == 0 {
		if kind = '0'; strings.HasSuffix(i.name, "/") {
			kind = '5'
		}
	}
	mode := i.mode
	if mode == 0 {
		mode = 0o644
	}
	size := i.size
	if size == "" {
		size = fmt.Sprintf("%011o", len(i.body))
	}
	header := make([]byte, 512)
	copy(header[0:100], i.name)
	copy(header[100:], fmt.Sprintf("%07o", mode))
	copy(header[108:], "0001750\x000001750\x00")
	copy(header[124:], size)
	copy(header[136:], "14000000000\x00")
	copy(header[148:], "        ")
	header[156] = kind
	copy(header[257:], "ustar\x0000somebody")
	if kind == 'S' { // GNU's own format: a map of one piece, and the real size.
		copy(header[257:], "ustar  \x00")
		copy(header[386:], fmt.Sprintf("%011o\x00%011o\x00", 0, len(i.body)))
		copy(header[483:], fmt.Sprintf("%011o\x00", len(i.body)))
	}
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	out.Write(header)
	out.WriteString(i.body)
	out.Write(make([]byte, -len(i.body)&511))
	return out.Bytes()
}

// record is a record of an extended header, its length found by trying.
func record(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	for n := len(rest) + 1; ; n++ {
		if length := strconv.Itoa(n); len(length)+len(rest) == n {
			return length + rest
		}
	}
}

// tarOf is a whole tar stream.
func tarOf(items ...item) []byte {
	var out bytes.Buffer
	for _, i := range items {
		out.Write(i.raw())
	}
	out.Write(make([]byte, 1024))
	return out.Bytes()
}

// zip compresses.
func zip(data []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(data); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// layer is a whole layer as a registry gives it.
func layer(items ...item) []byte { return zip(tarOf(items...)) }

// layersOnDisk writes layers as files.
func layersOnDisk(t testing.TB, layers ...[]byte) []Layer {
	t.Helper()
	dir := t.TempDir()
	var files []Layer
	for i, data := range layers {
		name := filepath.Join(dir, fmt.Sprintf("layer-%d", i))
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, Layer{Path: name})
	}
	return files
}

func dir(name string) item           { return item{name: name, kind: '5', mode: 0o755} }
func regular(name, body string) item { return item{name: name, body: body} }
func typed(name string, k byte) item { return item{name: name, kind: k} }

// flipped has one bit changed; 8 from the end of a gzip stream is its checksum,
// and 4 its length.
func flipped(data []byte, fromEnd int) []byte {
	out := bytes.Clone(data)
	out[len(out)-fromEnd] ^= 1
	return out
}

// incompressible is bytes that gzip does not make smaller, always the same.
func incompressible(n int) string {
	out := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{}).Read(out); err != nil {
		panic(err)
	}
	return string(out)
}
