pragma circom 2.1.0;

// Two constraints with coefficients other than one, two outputs, one public and two private
// inputs: enough to tell apart everything a file may mix up.
template TwoProducts() {
    signal input k;
    signal input a;
    signal input b;
    signal output c;
    signal output d;

    c <== a * b + 3;
    d <== (c - k) * (5 * a - b);
}

component main { public [k] } = TwoProducts();
