package monitoring

import "testing"

func TestAxis(t *testing.T) {
	tests := map[string]struct {
		most  float64
		unit  string
		step  string
		steps int
	}{
		"nothing":             {most: 0, unit: "short", step: "1", steps: 1},
		"a count":             {most: 8, unit: "short", step: "2", steps: 4},
		"a count of two":      {most: 12, unit: "short", step: "5", steps: 3},
		"all of it":           {most: 1, unit: "percentunit", step: "25%", steps: 4},
		"a part of a core":    {most: 0.011, unit: "short", step: "0.005", steps: 3},
		"milliseconds":        {most: 0.057, unit: "s", step: "20 ms", steps: 3},
		"minutes":             {most: 600, unit: "s", step: "2.5 min", steps: 4},
		"mebibytes":           {most: 64.2 * (1 << 20), unit: "bytes", step: "20 MiB", steps: 4},
		"a thousand or so":    {most: 1000, unit: "Bps", step: "250 B/s", steps: 4},
		"what is no fraction": {most: 0.3, unit: "reqps", step: "0.1/s", steps: 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			step, steps := axis(test.most, test.unit)
			if got := format(step, test.unit); got != test.step || steps != test.steps {
				t.Errorf("expected %d steps of %s, found %d of %s", test.steps, test.step, steps, got)
			}
			if most := step * float64(steps); most < test.most*(1-1e-9) {
				t.Errorf("expected the axis to reach %g, it ends at %g", test.most, most)
			}
		})
	}
}
