package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/utils/ptr"
)

// leaseServer keeps one Lease, by its resource version.
type leaseServer struct {
	mu      sync.Mutex
	lease   *coordinationv1.Lease
	refuses bool          // to renew, and still lets it be given up
	taken   chan struct{} // somebody holds it
}

func (s *leaseServer) holder() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ptr.Deref(s.lease.Spec.HolderIdentity, "")
}

// set writes as others do.
func (s *leaseServer) set(holder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: ptr.To[int32](15), RenewTime: ptr.To(metav1.NowMicro())})
}

func (s *leaseServer) put(spec coordinationv1.LeaseSpec) {
	version := 1
	if s.lease != nil {
		version, _ = strconv.Atoi(s.lease.ResourceVersion)
	}
	s.lease = &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "assay-system", Name: leaderElectionID, ResourceVersion: strconv.Itoa(version + 1)}, Spec: spec,
	}
}

func (s *leaseServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fail := func(err *apierrors.StatusError) {
		w.WriteHeader(int(err.Status().Code))
		_ = json.NewEncoder(w).Encode(err.Status())
	}
	if r.Method == http.MethodGet {
		if s.lease == nil {
			fail(apierrors.NewNotFound(schema.GroupResource{}, leaderElectionID))
			return
		}
		_ = json.NewEncoder(w).Encode(s.lease)
		return
	}
	var sent coordinationv1.Lease
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		fail(apierrors.NewBadRequest(err.Error()))
		return
	}
	switch held := ptr.Deref(sent.Spec.HolderIdentity, "") != ""; {
	case s.refuses && held:
		fail(apierrors.NewInternalError(errors.New("not now")))
		return
	case s.lease != nil && sent.ResourceVersion != s.lease.ResourceVersion:
		fail(apierrors.NewConflict(schema.GroupResource{}, leaderElectionID, errors.New("changed")))
		return
	}
	s.put(sent.Spec)
	_ = json.NewEncoder(w).Encode(s.lease)
	select {
	case s.taken <- struct{}{}:
	default:
	}
}

// A Lease is given up by who stops in order, and by nobody else: who could not
// renew it still works, and who takes that long to tell what is to be told may
// find it another's.
func TestLeaseIsGivenUp(t *testing.T) {
	before := renewDeadline
	renewDeadline = time.Second
	t.Cleanup(func() { renewDeadline = before })
	const other = "other_uuid_10.0.0.2:9090"
	for name, c := range map[string]struct {
		ends    func(s *leaseServer, stop func())
		flushes func(s *leaseServer)
		flushed bool
		holder  string // "self": the one that ends
	}{
		"it stops": {
			ends:    func(_ *leaseServer, stop func()) { stop() },
			flushes: func(*leaseServer) {}, flushed: true, holder: "",
		},
		"it could not renew": {
			ends: func(s *leaseServer, _ func()) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.refuses = true
			},
			flushes: func(*leaseServer) {}, flushed: false, holder: "self",
		},
		"another holds it by then": {
			ends:    func(_ *leaseServer, stop func()) { stop() },
			flushes: func(s *leaseServer) { s.set(other) }, flushed: true, holder: other,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &leaseServer{taken: make(chan struct{}, 1)}
			server := httptest.NewServer(s)
			defer server.Close()
			lock, err := newLock(&rest.Config{Host: server.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, "assay-system", netip.AddrPort{}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			flushed := false
			lock.beforeRelease = func() {
				if !flushed { // It ends at once where it has been called before.
					c.flushes(s)
				}
				flushed = true
			}
			elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
				Lock: lock, LeaseDuration: 2 * time.Second, RenewDeadline: renewDeadline, RetryPeriod: 50 * time.Millisecond, ReleaseOnCancel: true,
				Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) {}, OnStoppedLeading: func() {}},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan struct{})
			go func() { defer close(ended); elector.Run(ctx) }()
			<-s.taken
			<-s.taken // And renewed.
			c.ends(s, stop)
			<-ended
			want := c.holder
			if want == "self" {
				want = lock.Identity()
			}
			if found := s.holder(); found != want || flushed != c.flushed {
				t.Errorf("expected the holder %q and what waits told: %t; found %q and %t", want, c.flushed, found, flushed)
			}
		})
	}
}
