// A grid of RANC cores as hardware/ranc.py documents them, in behavioural Verilog: memory images in, spikes out.
// +folder +packets (30 bits each) +counts (packets before each tick) +answers +ticks
`timescale 1ns/1ps
module ranc_core #(parameter COLUMNS = 2, ROWS = 1, BUS_X = 1, BUS_Y = 0, FOLDER = "./");
    localparam CORES = COLUMNS * ROWS;
    reg [367:0] neuron [0:CORES*256-1];
    reg [367:0] lines [0:255];
    reg [1:0] axon_type [0:CORES*256-1];
    reg [1:0] types [0:255];
    reg [255:0] due [0:CORES*16-1];  // axons with a spike, by core and tick modulo 16
    reg [29:0] packet [0:65535];
    integer count [0:65535];
    reg [1023:0] packets, counts, answers, name;
    integer file, ticks, t, k, at, core, i, x, y;
    reg [367:0] w;
    reg signed [8:0] v, threshold, low, reset;
    reg [255:0] now;

    task send(input integer from_x, input integer from_y, input [29:0] p, input integer from_tick);
        begin
            x = from_x + $signed(p[29:21]);
            y = from_y + $signed(p[20:12]);
            if (x == BUS_X && y == BUS_Y) $fwrite(file, "%0d %0d\n", t, p[11:4]);
            else due[(x + COLUMNS * y) * 16 + (from_tick + p[3:0]) % 16][p[11:4]] = 1;
        end
    endtask

    initial begin
        if (!$value$plusargs("packets=%s", packets) || !$value$plusargs("counts=%s", counts)
            || !$value$plusargs("answers=%s", answers) || !$value$plusargs("ticks=%d", ticks)) $finish;
        file = $fopen(answers, "w");
        $readmemb(packets, packet);
        $readmemh(counts, count);
        for (i = 0; i < CORES * 16; i = i + 1) due[i] = 0;
        for (core = 0; core < CORES; core = core + 1) begin
            $sformat(name, "%0scsram_%03d.mem", FOLDER, core);
            $readmemb(name, lines);
            for (i = 0; i < 256; i = i + 1) neuron[core * 256 + i] = lines[i];
            $sformat(name, "%0stc_%03d.mem", FOLDER, core);
            $readmemb(name, types);
            for (i = 0; i < 256; i = i + 1) axon_type[core * 256 + i] = types[i];
        end
        at = 0;
        for (t = 0; t < ticks; t = t + 1) begin
            for (k = 0; k < count[t]; k = k + 1) begin
                send(0, 0, packet[at], t);
                at = at + 1;
            end
            for (core = 0; core < CORES; core = core + 1) begin
                now = due[core * 16 + t % 16];
                due[core * 16 + t % 16] = 0;
                for (i = 0; i < 256; i = i + 1) begin
                    w = neuron[core * 256 + i];
                    v = w[111:103];
                    if (now != 0) for (k = 0; k < 256; k = k + 1)
                        if (now[k] && w[112 + k]) v = v + w[93 - 9 * axon_type[core * 256 + k] -: 9];
                    v = v + w[57:49];
                    threshold = w[48:40];
                    low = w[39:31];
                    reset = w[102:94];
                    if (v >= threshold) begin
                        v = w[30] ? v - threshold : reset;
                        send(core % COLUMNS, core / COLUMNS, w[29:0], t + 1);
                    end else if (v < low) v = w[30] ? v - low : -reset;
                    neuron[core * 256 + i][111:103] = v;
                end
            end
        end
        $fclose(file);
        $finish;
    end
endmodule
