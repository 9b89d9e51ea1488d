package controllers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
)

func TestIdentity(t *testing.T) {
	for name, c := range map[string]struct{ address, want string }{
		"IPv4": {"10.0.0.7:9090", "10.0.0.7:9090"},
		"IPv6": {"[2001:db8::7]:9090", "[2001:db8::7]:9090"},
	} {
		t.Run(name, func(t *testing.T) {
			identity := identityOf("assay-controller-5d4f_x", netip.MustParseAddrPort(c.address))
			if found := addressIn(identity); found.String() != c.want {
				t.Errorf("%s: expected %s, found %s", identity, c.want, found)
			}
			if identity == identityOf("assay-controller-5d4f_x", netip.MustParseAddrPort(c.address)) {
				t.Error("expected another identity each time")
			}
		})
	}
	if found := addressIn(identityOf("host", netip.AddrPort{})); found.IsValid() {
		t.Errorf("expected no address, found %s", found)
	}
}

// What does not read as the address of one host is none.
func TestIdentityWithoutAnAddress(t *testing.T) {
	for _, identity := range []string{
		"", "10.0.0.7:9090", "host_10.0.0.7:9090", "host_uuid", "host_uuid_", "host_uuid_10.0.0.7", "host_uuid_10.0.0.7:0",
		"host_uuid_10.0.0.7:99999", "host_uuid_10.0.0.7:09090", "host_uuid_010.0.0.7:9090", "host_uuid_registry.internal:80",
		"host_uuid_0.0.0.0:9090", "host_uuid_[::]:9090", "host_uuid_224.0.0.1:9090", "host_uuid_[ff02::1]:9090",
		"host_uuid_[fe80::1%eth0]:9090", "host_uuid_[::ffff:10.0.0.7]:9090", "host_uuid_[2001:DB8::7]:9090",
		"host_uuid_10.0.0.7:9090/x", "host_uuid_10.0.0.7:9090@x", "host_uuid_ 10.0.0.7:9090", "host_uuid_10.0.0.7:9090\n",
	} {
		if found := addressIn(identity); found.IsValid() {
			t.Errorf("%q: expected no address, found %s", identity, found)
		}
	}
}

func TestParsePodIP(t *testing.T) {
	for text, good := range map[string]bool{
		"10.0.0.7": true, "2001:db8::7": true, "127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "224.0.0.1": false, "fe80::1%eth0": false, "::ffff:10.0.0.7": false, "10.0.0.7:9090": false, "host": false,
	} {
		if _, err := ParsePodIP(text); (err == nil) != good {
			t.Errorf("%q: expected it to be accepted: %v, found %v", text, good, err)
		}
	}
}

// A Lease is believed for as long as leader election believes it, from when it
// was seen to change.
func TestHolder(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	h := &holder{self: "me_uuid_10.0.0.1:9090", now: func() time.Time { return now }}
	none, other := netip.AddrPort{}, "other_uuid_10.0.0.2:9090"
	at := netip.MustParseAddrPort("10.0.0.2:9090")
	for _, step := range []struct {
		name   string
		holder string
		renew  int64 // of the record; 0: nothing is seen
		passes time.Duration
		want   netip.AddrPort
	}{
		{"before anything is seen", "", 0, 0, none},
		{"another holds it", other, 1, 0, at},
		{"and still", other, 1, 14 * time.Second, at},
		{"it does not renew", other, 1, time.Second, none},
		{"it renews", other, 2, 0, at},
		{"nothing is heard of it", "", 0, 15 * time.Second, none},
		{"another renews", "third_uuid_10.0.0.2:9090", 3, time.Second, at},
		{"it is given up", "", 4, 0, none},
		{"this one holds it", h.self, 5, 0, none},
		{"one without an address holds it", "other_uuid", 6, 0, none},
	} {
		now = now.Add(step.passes)
		if step.renew > 0 {
			h.saw(resourcelock.LeaderElectionRecord{HolderIdentity: step.holder, LeaseDurationSeconds: 15, RenewTime: metav1.Unix(step.renew, 0)})
		}
		if found := h.address(); found != step.want {
			t.Errorf("%s: expected %s, found %s", step.name, step.want, found)
		}
	}
}

// The lock makes the requests of leader election and no others, and learns from
// those that succeed.
func TestLockAsksForNothingMore(t *testing.T) {
	var asked []string
	refuse := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method)
		w.Header().Set("Content-Type", "application/json")
		if refuse {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(apierrors.NewConflict(schema.GroupResource{}, "x", errors.New("x")).Status())
			return
		}
		spec := resourcelock.LeaderElectionRecordToLeaseSpec(&resourcelock.LeaderElectionRecord{HolderIdentity: "other_uuid_10.0.0.2:9090", LeaseDurationSeconds: 15})
		if r.Method != http.MethodGet {
			spec.HolderIdentity = ptr.To("written")
		}
		_ = json.NewEncoder(w).Encode(&coordinationv1.Lease{TypeMeta: metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"}, ObjectMeta: metav1.ObjectMeta{Namespace: "assay-system", Name: leaderElectionID}, Spec: spec})
	}))
	defer server.Close()
	lock, err := newLock(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, "assay-system", netip.AddrPort{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	mine := resourcelock.LeaderElectionRecord{HolderIdentity: "third_uuid_10.0.0.3:9090", LeaseDurationSeconds: 15}
	get := func() error { _, _, err := lock.Get(t.Context()); return err }
	for _, step := range []struct {
		name   string
		call   func() error
		method string
		refuse bool
		want   string
	}{
		{"get", get, "GET", false, "10.0.0.2:9090"},
		{"create, refused", func() error { return lock.Create(t.Context(), mine) }, "POST", true, "10.0.0.2:9090"},
		{"create", func() error { return lock.Create(t.Context(), mine) }, "POST", false, "10.0.0.3:9090"},
		{"get", get, "GET", false, "10.0.0.2:9090"},
		{"update, refused", func() error { return lock.Update(t.Context(), mine) }, "PUT", true, "10.0.0.2:9090"},
		{"update", func() error { return lock.Update(t.Context(), mine) }, "PUT", false, "10.0.0.3:9090"},
		{"get, refused", get, "GET", true, "10.0.0.3:9090"},
	} {
		asked, refuse = nil, step.refuse
		if err := step.call(); (err != nil) != step.refuse {
			t.Fatalf("%s: %v", step.name, err)
		}
		found := lock.holder.address().String()
		if diff := cmp.Diff([]string{step.method}, asked); diff != "" || found != step.want {
			t.Errorf("%s: expected the holder at %s, found %s; requests (-expected +found):\n%s", step.name, step.want, found, diff)
		}
	}
}
