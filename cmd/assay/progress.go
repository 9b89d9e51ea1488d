package main

import (
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/schollz/progressbar/v3"
)

// bar shows how far a transfer is, on a terminal only. What it shows is gone
// when it ends.
type bar struct {
	shown *progressbar.ProgressBar // nil where there is no terminal
}

func (t *terminal) newBar(what string) *bar {
	if !t.progress {
		return &bar{}
	}
	return &bar{progressbar.NewOptions64(1,
		progressbar.OptionSetWriter(t.err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// tell is called with the bytes so far and those there are.
func (b *bar) tell(done, total int64) {
	if b.shown == nil || total <= 0 {
		return
	}
	if b.shown.GetMax64() != total {
		b.shown.ChangeMax64(total)
	}
	// The terminal may be gone; the transfer is what matters. The end is for
	// close to show, so that nothing is drawn after it.
	_ = b.shown.Set64(min(done, total-1))
}

func (b *bar) close() {
	if b.shown != nil {
		_ = b.shown.Exit()
		_ = b.shown.Clear()
	}
}

// watch returns the options that show a push, and what waits for its last word
// once it has ended.
func (b *bar) watch() ([]remote.Option, func()) {
	if b.shown == nil {
		return nil, func() {}
	}
	updates := make(chan v1.Update, 16)
	var done sync.WaitGroup
	done.Go(func() {
		for update := range updates {
			b.tell(update.Complete, update.Total)
		}
	})
	return []remote.Option{remote.WithProgress(updates)}, func() {
		done.Wait()
		b.close()
	}
}
