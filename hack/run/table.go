package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// refresh is how often the table is looked at.
const refresh = 200 * time.Millisecond

// follow shows the table until every row is what it should be. On a terminal it
// is drawn in place; elsewhere each change is a line, and the table comes at
// the end.
func follow(ctx context.Context, env *environment, rows []*row) error {
	screen := &screen{terminal: isTerminal(os.Stdout)}
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for {
		complete, err := look(ctx, env, rows, screen)
		if err != nil {
			return err
		}
		screen.draw(rows)
		if complete {
			screen.finish(rows)
			return checkDownloads(ctx, rows)
		}
		if time.Now().After(deadline) {
			screen.finish(rows)
			return errors.New("not every row is what it should be")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-env.ended:
			env.ended <- err
			return fmt.Errorf("the controller ended: %w", err)
		case <-ticker.C:
		}
	}
}

// look reads the ModuleSources, and takes the second step of those that have
// one.
func look(ctx context.Context, env *environment, rows []*row, screen *screen) (complete bool, err error) {
	complete = true
	for _, r := range rows {
		var found v1alpha1.ModuleSource
		if err := env.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: r.name}, &found); err != nil {
			return false, err
		}
		before := r.state()
		r.found = &found
		if r.state() != before {
			screen.changed(r)
		}
		if r.then != nil && r.isTime() {
			if err := r.then(ctx); err != nil {
				return false, err
			}
			r.then = nil
		}
		r.done = r.then == nil && r.asExpected()
		complete = complete && r.done
	}
	return complete, nil
}

// isTime reports whether it is time for the second step.
func (r *row) isTime() bool {
	if r.after == "" {
		return r.found.Status.Artifact != nil
	}
	verdict := apimeta.FindStatusCondition(r.found.Status.Conditions, v1alpha1.ConditionVerified)
	return verdict != nil && verdict.Reason == r.after
}

// checkDownloads downloads what is published and compares digests.
func checkDownloads(ctx context.Context, rows []*row) error {
	for _, r := range rows {
		a := r.found.Status.Artifact
		if a == nil {
			continue
		}
		digest, err := digestAt(ctx, a.URL)
		if err != nil {
			return fmt.Errorf("%s: downloading the artifact: %w", r.name, err)
		}
		if digest != a.Digest {
			return fmt.Errorf("%s: expected an artifact of digest %s, found %s", r.name, a.Digest, digest)
		}
	}
	return nil
}

func digestAt(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	hash := sha256.New()
	_, err = io.Copy(hash, response.Body)
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), err
}

// state is what a person sees of a row.
func (r *row) state() string {
	if r.found == nil {
		return ""
	}
	verified := r.condition(v1alpha1.ConditionVerified)
	revision := "-"
	if o := r.found.Status.Observed; o != nil {
		revision = short(o.Revision)
	}
	return strings.Join([]string{r.name, revision, dash(string(verified.Status)), dash(verified.Reason), dash(short(revisionOf(r.found.Status.Artifact)))}, "\t")
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// short keeps the first 8 digits of a digest.
func short(revision string) string {
	if before, digest, ok := strings.Cut(revision, "sha256:"); ok {
		return before + digest[:min(8, len(digest))]
	}
	return revision
}

// screen shows rows.
type screen struct {
	terminal bool
	lines    int // drawn last, to be drawn over
}

func (s *screen) changed(r *row) {
	if !s.terminal {
		fmt.Println(strings.ReplaceAll(r.state(), "\t", "  "))
	}
}

// draw draws the table over the one before.
func (s *screen) draw(rows []*row) {
	if !s.terminal {
		return
	}
	text := table(rows)
	if s.lines > 0 {
		fmt.Printf("\x1b[%dA\x1b[J", s.lines)
	}
	fmt.Print(text)
	s.lines = strings.Count(text, "\n")
}

func (s *screen) finish(rows []*row) {
	if !s.terminal {
		fmt.Print("\n" + table(rows))
	}
	right := 0
	for _, r := range rows {
		if r.done {
			right++
		}
	}
	fmt.Printf("\n%d of %d ModuleSources are what they should be.\n", right, len(rows))
}

func table(rows []*row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tNAME\tREVISION\tVERIFIED\tREASON\tPUBLISHED\tWHAT TO LOOK AT")
	for _, r := range rows {
		mark := "…"
		if r.done {
			mark = "✓"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, r.state(), r.look)
	}
	_ = w.Flush() // To memory.
	return b.String()
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
