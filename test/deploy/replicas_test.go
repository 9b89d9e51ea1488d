package deploy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/registry"
)

// A rollout starts a new replica before an old one goes.
func TestRolloutKeepsTwoReplicas(t *testing.T) {
	spec := deployment(t).Spec
	if ptr.Deref(spec.Replicas, 1) != 2 || spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		t.Fatalf("expected two replicas and rolling updates, found %d and %s", *spec.Replicas, spec.Strategy.Type)
	}
	if update := spec.Strategy.RollingUpdate; *update.MaxUnavailable != intstr.FromInt32(0) || *update.MaxSurge != intstr.FromInt32(1) {
		t.Errorf("expected one more at a time and none less, found %+v", update)
	}
}

// TestReplicas is the life of the Deployment's replicas behind its Service: both
// answer, the leader is killed, all are replaced, and one is evicted while it is
// at work.
func TestReplicas(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("each replica needs an address of its own, of which only Linux has several on loopback")
	}
	w, f, key := newTenant(t), &fleet{}, newKey(t)
	for range *deployment(t).Spec.Replicas {
		f.add(t)
	}
	w.signed(t, "app", "1.0.0", key)
	create(t, w.source("app", "app", v1alpha1.KeyAuthority{Data: string(key.PublicPEM())}))
	obj := w.await(t, "app", verified)
	for _, c := range f.all() {
		wantServed(t, c, obj)
		reportMemory(t, c, "one of two")
	}

	survivesTheLeader(t, f, obj)
	isRolledOut(t, f, obj)
	isEvictedAtWork(t, f, w, obj)
	for _, c := range f.all() {
		c.terminate(t)
	}
	if holder := leaseHolder(t); holder != "" {
		t.Errorf("expected the Lease to be given up, found the holder %q", holder)
	}
}

// retry is how often a replica that does not lead looks at the Lease, at most:
// two seconds, and 1.2 times as much again.
const retry = 4400 * time.Millisecond

// survivesTheLeader kills the leader, which gives nothing up, and measures how
// long nobody serves. Its Pod is gone, as with its node; a new one is made.
func survivesTheLeader(t *testing.T, f *fleet, obj *v1alpha1.ModuleSource) {
	t.Helper()
	leader := f.leader(t)
	lease := &coordinationv1.Lease{}
	if err := kube.Get(background, client.ObjectKey{Namespace: namespace, Name: name}, lease); err != nil {
		t.Fatal(err)
	}
	if err := leader.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-leader.ended
	killed := time.Now()
	f.remove(leader)
	leader.gone(t)

	d := download(f, obj)
	defer d.stop()
	await(t, "artifacts are served again", d.served)
	took := time.Since(killed)
	valid := time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
	t.Logf("the leader was killed: artifacts were served again after %.1f s; its Lease was valid for %s, and was looked at every %s at the latest", took.Seconds(), valid, retry)
	// What was published is rebuilt in between: verified again and downloaded.
	const rebuild = 10 * time.Second
	if took > valid+retry+rebuild {
		t.Errorf("expected artifacts to be served after %s at the latest, found %s", valid+retry+rebuild, took)
	}
	if f.leader(t) == leader {
		t.Error("expected another leader")
	}
	f.add(t)
	d.wantNothingWrong(t)
}

// isRolledOut replaces every replica, the leader first, while somebody
// downloads.
func isRolledOut(t *testing.T, f *fleet, obj *v1alpha1.ModuleSource) {
	t.Helper()
	d := download(f, obj)
	defer d.stop()
	old := f.all()
	if leader := f.leader(t); old[0] != leader {
		old[0], old[1] = old[1], old[0]
	}
	for _, c := range old {
		f.add(t)
		f.retire(t, c)
		await(t, "artifacts are served", d.served)
	}
	f.leader(t)
	await(t, "artifacts are served", d.served)
	d.wantNoneRefused(t, "replaced two replicas")
}

// isEvictedAtWork drains the leader's node while a registry does not answer it.
// The other one stays; and the budget allows no second.
func isEvictedAtWork(t *testing.T, f *fleet, w *tenant, obj *v1alpha1.ModuleSource) {
	t.Helper()
	d := download(f, obj)
	defer d.stop()
	leader := f.leader(t)
	reached := make(chan struct{})
	reach := sync.OnceFunc(func() { close(reached) })
	w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		reach()
		registry.Hang(rw, r, next)
	})
	w.poll(t, "app", "evicted")
	<-reached
	countDisruptions(t)
	if err := evict(leader); err != nil {
		t.Fatal(err)
	}
	for _, c := range f.all() {
		if c == leader {
			continue
		}
		if err := evict(c); !apierrors.IsTooManyRequests(err) {
			t.Errorf("expected the budget to keep the other replica, found %v", err)
		}
	}
	w.registry.Intercept(nil)
	f.retire(t, leader)
	f.add(t)
	f.leader(t)
	await(t, "artifacts are served", d.served)
	d.wantNoneRefused(t, "evicted the leader")
	obj = w.await(t, "app", verified)
	if apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionFetchFailed) != nil {
		t.Errorf("expected nothing to have failed, found %+v", obj.Status.Conditions)
	}
}

// downloads ask for an artifact through the Service, again and again, each over
// a connection of its own.
type downloads struct {
	stop func()

	mu      sync.Mutex
	last    error // of the last one; nil where it was served
	gone    time.Time
	longest time.Duration // for which it was 503 without a break
	refused []error       // no answer at all
	wrong   []error       // neither the artifact nor 503
}

func download(f *fleet, obj *v1alpha1.ModuleSource) *downloads {
	d := &downloads{last: errors.New("nobody asked yet")}
	end, ended := make(chan struct{}), make(chan struct{})
	d.stop = sync.OnceFunc(func() {
		close(end)
		<-ended
	})
	others := f.service().client()
	go func() {
		defer close(ended)
		for ticker := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-end:
				ticker.Stop()
				return
			case <-ticker.C:
				code, body, err := get(others, obj.Status.Artifact.URL)
				d.note(obj.Status.Artifact.Digest, code, body, err)
			}
		}
	}()
	return d
}

// note keeps what one of them got.
func (d *downloads) note(digest string, code int, body []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch found := fmt.Sprintf("sha256:%x", sha256.Sum256(body)); {
	case err != nil:
		d.refused = append(d.refused, err)
	case code == http.StatusServiceUnavailable:
		err = errors.New("503")
	case code != http.StatusOK || found != digest:
		err = fmt.Errorf("%d, %s", code, found)
		d.wrong = append(d.wrong, err)
	}
	now := time.Now()
	switch d.last = err; {
	case err == nil:
		d.gone = time.Time{}
	case d.gone.IsZero():
		d.gone = now
	default:
		d.longest = max(d.longest, now.Sub(d.gone))
	}
}

func (d *downloads) served() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// wantNothingWrong expects each answer to be the artifact, or that there is none
// at the moment.
func (d *downloads) wantNothingWrong(t *testing.T) {
	t.Helper()
	d.stop()
	for _, err := range d.wrong {
		t.Errorf("expected the artifact or 503, found %v", err)
	}
}

// wantNoneRefused expects an answer each time, and that a Lease which is given up
// is not waited for.
func (d *downloads) wantNoneRefused(t *testing.T, when string) {
	t.Helper()
	d.wantNothingWrong(t)
	for _, err := range d.refused {
		t.Errorf("expected an answer, found %v", err)
	}
	t.Logf("%s: no request was refused; it was 503 for %.1f s at the longest", when, d.longest.Seconds())
	if most := 15 * time.Second; d.longest > most {
		t.Errorf("expected to wait less than a Lease's %s, found %s", most, d.longest)
	}
}
