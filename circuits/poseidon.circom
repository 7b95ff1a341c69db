pragma circom 2.1.0;

include "poseidon_constants.circom";

// x^5, the permutation of the field that Poseidon is built on.
template Power5() {
    signal input in;
    signal output out;

    signal square <== in * in;
    signal fourth <== square * square;
    out <== fourth * in;
}

// Poseidon (eprint 2019/458) for two elements of BN254's scalar field: width 3, 8 full and 57
// partial rounds, capacity 0, the first element of the last state.
//
// Between S-boxes the state is a sum that costs nothing until an S-box takes it in. In partial
// rounds two of the three elements pass by the S-box, and their sums gain a term each round: every
// eighth round they become signals, which keeps the constraints short.
template Hash() {
    signal input left;
    signal input right;
    signal output out;

    var FULL = 8;
    var PARTIAL = 57;
    var constants[195] = roundConstants();
    var mix[3][3] = mixMatrix();

    signal raised[3 * FULL + PARTIAL];
    signal carried[14];
    var nextRaised = 0;
    var nextCarried = 0;

    var state[3] = [0, left, right];
    for (var round = 0; round < FULL + PARTIAL; round++) {
        var isFull = round < FULL / 2 || round >= FULL / 2 + PARTIAL;
        for (var i = 0; i < 3; i++) {
            state[i] += constants[3 * round + i];
            if (i == 0 || isFull) {
                raised[nextRaised] <== Power5()(state[i]);
                state[i] = raised[nextRaised];
                nextRaised++;
            }
        }
        var mixed[3] = [0, 0, 0];
        for (var i = 0; i < 3; i++) {
            for (var j = 0; j < 3; j++) {
                mixed[i] += mix[i][j] * state[j];
            }
        }
        state = mixed;
        if (!isFull && round % 8 == 7) {
            for (var i = 1; i < 3; i++) {
                carried[nextCarried] <== state[i];
                state[i] = carried[nextCarried];
                nextCarried++;
            }
        }
    }
    out <== state[0];
}
