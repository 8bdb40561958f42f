// The core of hardware/tinyodin.py as its images and kernels/event_core.py document it, in behavioural Verilog-2005.
// +neurons +synapses (images) +max_neuron +open_loop (registers) +events (hexadecimal words of 10 bits) +answers
// Events, in bits: 00aaaaaaaa a spike of a; 0111111111 leak of all, 01aaaaaaaa of one; 1-wwwwaaaa the weight w for a.
// Answers: "spike EVENT NEURON" in order, then "lost SPIKES" and "word NEURON CONTENT" of the whole memory.
`timescale 1ns/1ps
module tinyodin_core;
    reg [31:0] neuron [0:255];     // disable 1, leak 7, threshold 12, potential 12
    reg [31:0] synapse [0:8191];   // 8 weights of 4 bits
    reg [7:0] queue [0:127];
    reg [6:0] head, tail;
    reg [7:0] waiting;             // 0 to 128, with the spike that is being worked on
    reg [1023:0] neurons, synapses, events, answers;
    reg [9:0] word;
    reg closed;
    integer max_neuron, open_loop, given, file, event_number, lost, k;

    task push(input [7:0] address);
        if (waiting[7]) lost = lost + 1;
        else begin
            queue[tail] = address;
            tail = tail + 1;
            waiting = waiting + 1;
        end
    endtask

    // One neuron takes a weight, or leaks: what every event is made of.
    task touch(input [7:0] address, input leaks, input signed [3:0] weight);
        reg signed [11:0] v;
        reg signed [13:0] sum;     // wide enough for all that a weight or a leak may do
        reg signed [13:0] leak;
        begin
            v = neuron[address][11:0];
            leak = {7'b0, neuron[address][30:24]};
            if (leaks) begin
                sum = v[11] ? v + leak : v - leak;
                if (sum[13] != v[11]) sum = 0;
            end else begin
                sum = v + weight;
                if (sum > 2047) sum = 2047;
                if (sum < -2048) sum = -2048;
            end
            if (!sum[13] && sum[11:0] >= neuron[address][23:12]) begin
                sum = 0;
                if (!neuron[address][31]) begin
                    $fwrite(file, "spike %0d %0d\n", event_number, address);
                    if (closed) push(address);
                end
            end
            neuron[address][11:0] = sum[11:0];
        end
    endtask

    // All neurons, in ascending order, for one spike; its place in the queue is free afterwards.
    task settle;
        while (waiting != 0) begin
            for (k = 0; k <= max_neuron; k = k + 1)
                touch(k, 1'b0, synapse[queue[head] * 32 + k / 8][4 * (k % 8) +: 4]);
            head = head + 1;
            waiting = waiting - 1;
        end
    endtask

    initial begin
        if (!$value$plusargs("neurons=%s", neurons) || !$value$plusargs("synapses=%s", synapses)
            || !$value$plusargs("events=%s", events) || !$value$plusargs("answers=%s", answers)
            || !$value$plusargs("max_neuron=%d", max_neuron) || !$value$plusargs("open_loop=%d", open_loop)) begin
            $display("an argument is missing");
            $finish;
        end
        $readmemh(neurons, neuron);
        $readmemh(synapses, synapse);
        given = $fopen(events, "r");
        file = $fopen(answers, "w");
        closed = open_loop == 0;
        {head, tail, waiting} = 0;
        lost = 0;
        event_number = 0;
        while ($fscanf(given, "%h", word) == 1) begin
            if (word[9]) touch(word[3:0], 1'b0, word[7:4]);
            else if (word == 10'h1ff) for (k = 0; k <= max_neuron; k = k + 1) touch(k, 1'b1, 4'd0);
            else if (word[8]) touch(word[7:0], 1'b1, 4'd0);
            else push(word[7:0]);
            settle;
            event_number = event_number + 1;
        end
        $fwrite(file, "lost %0d\n", lost);
        for (k = 0; k < 256; k = k + 1) $fwrite(file, "word %0d %h\n", k, neuron[k]);
        $fclose(file);
        $finish;
    end
endmodule
