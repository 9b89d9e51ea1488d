package artifact

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPublishRefusesWhatIsTooLarge(t *testing.T) {
	many := func(n int, make func(name string) item) []item {
		var items []item
		for i := range n {
			items = append(items, make(strings.Repeat("n", i+1)))
		}
		return items
	}
	cases := map[string]struct {
		limits   Limits
		layers   [][]byte
		mentions []string
	}{
		"one file": {
			Limits{ArchiveBytes: 10}, [][]byte{layer(regular("a", "0123456789A"))},
			[]string{"artifact's size", "at most 10", "more than 10", `"a"`},
		},
		"files together": {
			Limits{ArchiveBytes: 10}, [][]byte{layer(regular("a", "01234"), regular("b", "56789A"))},
			[]string{"artifact's size", "at most 10", `"b"`},
		},
		"files of layers together": {
			Limits{ArchiveBytes: 10}, [][]byte{layer(regular("a", "01234")), layer(regular("b", "56789A"))},
			[]string{"artifact's size", "layer 2", `"b"`},
		},
		"files that are replaced count": {
			Limits{ArchiveBytes: 10}, [][]byte{layer(regular("a", "01234")), layer(regular("a", "56789A"))},
			[]string{"artifact's size", "layer 2", `"a"`},
		},
		"a size that overflows": {
			Limits{}, [][]byte{layer(regular("a", "1"), item{name: "b", body: "x", pax: map[string]string{"size": "9223372036854775807"}})},
			[]string{"artifact's size", `"b"`},
		},
		"entries": {
			Limits{Files: 3}, [][]byte{layer(many(4, func(n string) item { return regular(n, "") })...)},
			[]string{"artifact's files", "at most 3", "more than 3"},
		},
		"entries of layers together": {
			Limits{Files: 3}, [][]byte{layer(regular("a", ""), regular("b", "")), layer(regular("a", ""), regular("b", ""))},
			[]string{"artifact's files", "layer 2"},
		},
		"folders": {
			Limits{Files: 3}, [][]byte{layer(many(4, dir)...)},
			[]string{"artifact's files"},
		},
		"global headers": {
			Limits{Files: 3}, [][]byte{layer(many(4, func(string) item { return item{name: "g", kind: 'g', body: record("comment", "x")} })...)},
			[]string{"artifact's files"},
		},
		"the ratio of a file": {
			Limits{}, [][]byte{layer(regular("a", strings.Repeat("\x00", 2<<20)))},
			[]string{"compression ratio", "at most 200"},
		},
		"the ratio of the padding": {
			Limits{}, [][]byte{layer(regular("b", "x")), zip(append(tarOf(regular("a", "1")), make([]byte, 2<<20)...))},
			[]string{"compression ratio", "at most 200", "layer 2"},
		},
		"extended headers": {
			Limits{Files: 3, Ratio: math.MaxInt64}, [][]byte{layer(
				item{name: "a", pax: map[string]string{"comment": strings.Repeat("x", 900<<10)}},
				item{name: "b", pax: map[string]string{"comment": strings.Repeat("x", 900<<10)}},
			)},
			[]string{"besides the contents", "more than"},
		},
		"extended headers of one entry": {
			Limits{Files: 3, Ratio: math.MaxInt64}, [][]byte{zip(bytes.Repeat(item{name: "x", kind: 'x', body: record("comment", strings.Repeat("x", 100<<10))}.raw(), 20))},
			[]string{"besides the contents"},
		},
		"padding": {
			Limits{Files: 3, Ratio: math.MaxInt64}, [][]byte{zip(append(tarOf(regular("a", "1")), make([]byte, 2<<20)...))},
			[]string{"besides the contents"},
		},
		"padding of layers together": {
			Limits{Files: 3, Ratio: math.MaxInt64}, [][]byte{
				zip(append(tarOf(regular("a", "1")), make([]byte, 600<<10)...)),
				zip(append(tarOf(regular("b", "1")), make([]byte, 600<<10)...)),
			},
			[]string{"besides the contents", "layer 2"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			refuse(t, c.limits, c.layers, ReasonArtifactTooLarge, c.mentions...)
		})
	}
}

func TestPublishTakesWhatFits(t *testing.T) {
	cases := map[string]struct {
		limits Limits
		layer  []byte
	}{
		"as many bytes":         {Limits{ArchiveBytes: 10}, layer(regular("a", "01234"), regular("b", "56789"))},
		"as many entries":       {Limits{Files: 3}, layer(dir("d"), regular("a", ""), regular("b", ""))},
		"a ratio that is free":  {Limits{Ratio: 1}, layer(regular("a", strings.Repeat("\x00", 1<<20-2048)))},
		"a ratio that is used":  {Limits{Ratio: 1}, zipStored(tarOf(regular("a", strings.Repeat("\x00", 2<<20))))},
		"contents are no frame": {Limits{Files: 1}, layer(regular("a", incompressible(3<<20)))},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			publish(t, newStore(t, Options{Limits: c.limits}), owner, c.layer)
		})
	}
}

// zipStored has a ratio of just under one.
func zipStored(data []byte) []byte {
	var out bytes.Buffer
	z := newStoredGzip(&out)
	if _, err := z.Write(data); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// zeros counts how much of it was read.
type zeros struct{ read int64 }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += int64(len(p))
	return len(p), nil
}

func TestMeterReadsOneByteMore(t *testing.T) {
	cases := map[string]struct {
		overhead, most, want int64
	}{
		"by the overhead": {overhead: 1000, most: 5000, want: 1001},
		"by the ratio":    {overhead: 5000, most: 1000, want: 1001},
		"by nothing":      {overhead: 0, most: 0, want: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var source zeros
			m := &meter{r: &source, overhead: &c.overhead, most: c.most, limits: Limits{Files: 1, Ratio: 1}, layer: 1}
			n, err := io.Copy(io.Discard, m)
			var typed *Error
			if !errors.As(err, &typed) || typed.Reason != ReasonArtifactTooLarge {
				t.Errorf("expected %s, found %v", ReasonArtifactTooLarge, err)
			}
			if source.read != c.want || n >= c.want {
				t.Errorf("expected %d bytes read and fewer passed on, found %d and %d", c.want, source.read, n)
			}
			if _, again := m.Read(make([]byte, 1)); !errors.Is(again, err) || source.read != c.want {
				t.Errorf("reading again: %v, %d bytes", again, source.read)
			}
		})
	}
}

func TestLimitsDefaults(t *testing.T) {
	got, err := Limits{}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Limits{ArchiveBytes: 64 << 20, Files: 10_000, Ratio: 200}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLimitsStreamBytesDoNotOverflow(t *testing.T) {
	l := Limits{Ratio: math.MaxInt64}
	if got := l.streamBytes(1 << 40); got < 1<<40 {
		t.Errorf("found %d", got)
	}
}
