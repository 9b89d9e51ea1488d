package artifact

import "sync"

// ledger counts the archives that are in place, as they were last listed: at
// each change, and of those whose current archive is known each time that Run
// collects.
type ledger struct {
	mu     sync.Mutex
	owners map[Owner]map[string]int64 // sizes by hex
	number int
	bytes  int64
}

func newLedger() *ledger { return &ledger{owners: map[Owner]map[string]int64{}} }

// set says what an owner has; nothing for nothing.
func (l *ledger) set(owner Owner, sizes map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(l.owners[owner], -1)
	l.count(sizes, 1)
	if len(sizes) == 0 {
		delete(l.owners, owner)
		return
	}
	l.owners[owner] = sizes
}

// remove says that one archive is gone.
func (l *ledger) remove(owner Owner, hex string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sizes := l.owners[owner]
	size, ok := sizes[hex]
	if !ok {
		return
	}
	l.number, l.bytes = l.number-1, l.bytes-size
	if delete(sizes, hex); len(sizes) == 0 {
		delete(l.owners, owner)
	}
}

func (l *ledger) count(sizes map[string]int64, sign int) {
	for _, size := range sizes {
		l.number, l.bytes = l.number+sign, l.bytes+int64(sign)*size
	}
}

// Held is how many archives the store has in place, superseded ones that are
// still served among them, and how many bytes they have together, without the
// signatures beside them. It does not ask the disk: what others did to the
// volume is known when Run or Sweep has looked.
func (s *Store) Held() (archives int, bytes int64) {
	s.held.mu.Lock()
	defer s.held.mu.Unlock()
	return s.held.number, s.held.bytes
}
