package artifact

import (
	"fmt"
	"testing"
)

// BenchmarkPublish publishes a module of 10 MiB in two layers.
func BenchmarkPublish(b *testing.B) {
	const half = 5 << 20
	s := newStore(b, Options{})
	v, signatures := verified(b)
	var files [2][]item
	for n := range files {
		for i := range 50 {
			files[n] = append(files[n], regular(fmt.Sprintf("layer-%d/file-%d", n, i), incompressible(half/50)))
		}
	}
	layers := layersOnDisk(b, layer(files[0]...), layer(files[1]...))
	b.SetBytes(2 * half)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Publish(v, owner, layers, signatures); err != nil {
			b.Fatal(err)
		}
	}
}
