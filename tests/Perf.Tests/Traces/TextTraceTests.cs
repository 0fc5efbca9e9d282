using System.IO.Compression;
using System.Text;

namespace ZeroFlow.Perf.Tests.Traces;

// Small samples of each format, written from its description, and recognised by their begin.
public sealed class TextTraceTests
{
    [Fact]
    public void Csv_of_the_captures() => AssertReads(
        """
        timestamp_us,op,offset,length,fua
        17365,W,23072768,131072,0
        18000,W,4096,512,1
        18001,F,0,0,0
        18002,R,0,4096,0
        18003,T,1048576,65536,0
        18004,Z,2097152,65536,0
        """,
        new(17365, NbdCommand.Write, 23072768, 131072),
        new(18000, NbdCommand.Write, 4096, 512, NbdRequestFlags.Fua),
        new(18001, NbdCommand.Flush, 0, 0),
        new(18002, NbdCommand.Read, 0, 4096),
        new(18003, NbdCommand.Trim, 1048576, 65536),
        new(18004, NbdCommand.WriteZeroes, 2097152, 65536));

    [Fact]
    public void Csv_of_the_recorder_comes_back_as_it_was()
    {
        TraceRecord[] records =
        [
            new(1, NbdCommand.Write, 0, 4096, NbdRequestFlags.Fua, 2),
            new(2, NbdCommand.BlockStatus, 0, 65536, NbdRequestFlags.RequestOne),
            new(9, NbdCommand.Cache, 0, 65536, NbdRequestFlags.None, 1),
        ];
        var stream = new MemoryStream();
        using (var writer = new CsvTraceWriter(stream))
        {
            foreach (var record in records) writer.Add(record);
        }

        Assert.Equal(records, TraceFile.Parse(new MemoryStream(stream.ToArray()), new DeviceChoice(null)));
    }

    [Theory]
    [InlineData("timestamp_us,op,offset,length,fua\n1,W,2,3")]
    [InlineData("timestamp_us,op,offset,length,fua\n1,X,2,3,0")]
    [InlineData("timestamp_us,op,offset,length,fua\n1,.,2,3,0")]
    [InlineData("timestamp_us,op,offset,length,fua\n1,W,-2,3,0")]
    [InlineData("timestamp_us,op,offset,length,size\n1,W,2,3,0")]
    [InlineData("time,op\n1,W")]
    [InlineData("fio version 4 iolog\n1 d write 0 0")]
    [InlineData("fio version 2 iolog\nd write 0")]
    [InlineData("fio version 3 iolog\n1 d wait 3 0")]
    [InlineData("1,h,0,Read,0,4096,1\n1,h,0,Erase,0,4096,1")]
    public void What_is_malformed_is_refused(string text) =>
        Assert.Throws<FormatException>(() => Parse(text, null).ToList());

    [Fact]
    public void Blkparse_counts_what_was_issued_to_the_driver() => AssertReads(
        """
          8,0    3        1     0.000000000   697  A   W 223490 + 8 <- (8,1) 223427
          8,0    3        2     0.000001829   697  Q   W 223490 + 8 [kjournald]
          8,0    3        3     0.000007197   697  G   W 223490 + 8 [kjournald]
          8,0    3        4     0.000011000     0  m   N cfq697 insert_request
          8,0    3        5     0.000012816   697  D   W 223490 + 8 [kjournald]
          8,0    0        6     0.001900000     0  C   W 223490 + 8 [0]
          8,0    1        7     1.500000000   700  D  FN [kworker/1:1H]
          8,0    1        8     1.500100000   700  D WFSM 2048 + 1 [kworker/1:1H]
          8,0    1        9     1.500200000   701  D FWFS 4096 + 16 [jbd2/sda1-8]
          8,0    1       10     2.000000000   702  D  RA 64 + 256 [postgres]
          8,0    1       11     2.000000999   703  D  DS 0 + 2097152 [fstrim]
        CPU0 (8,0):
         Reads Queued:           1,      128KiB  Writes Queued:           3,       12KiB
        """,
        new(12, NbdCommand.Write, 223490 * 512, 4096),
        new(1_500_000, NbdCommand.Flush, 0, 0),
        new(1_500_100, NbdCommand.Write, 2048 * 512, 512, NbdRequestFlags.Fua),
        new(1_500_200, NbdCommand.Flush, 0, 0),
        new(1_500_200, NbdCommand.Write, 4096 * 512, 8192, NbdRequestFlags.Fua),
        new(2_000_000, NbdCommand.Read, 64 * 512, 131072),
        new(2_000_000, NbdCommand.Trim, 0, 1L << 30));

    [Fact]
    public void Blkparse_without_issues_counts_what_was_queued() => AssertReads(
        """
        259,1    0        1     0.000000000   697  Q  WS 8 + 8 [postgres]
        259,1    0        2     0.000100000   697  Q FWS [postgres]
        """,
        new(0, NbdCommand.Write, 4096, 4096),
        new(100, NbdCommand.Flush, 0, 0));

    [Fact]
    public void Fio_version_2_has_waits_for_times() => AssertReads(
        """
        fio version 2 iolog
        /dev/nbd0 add
        /dev/nbd0 open
        /dev/nbd0 write 0 8192
        /dev/nbd0 wait 1500 0
        /dev/nbd0 sync 0 0
        /dev/nbd0 wait 500 0
        /dev/nbd0 read 8192 4096
        /dev/nbd0 trim 65536 65536
        /dev/nbd0 close
        """,
        new(0, NbdCommand.Write, 0, 8192),
        new(1500, NbdCommand.Flush, 0, 0),
        new(2000, NbdCommand.Read, 8192, 4096),
        new(2000, NbdCommand.Trim, 65536, 65536));

    // The sample has the form that fio 3.33 writes.
    [Fact]
    public void Fio_version_3_has_microseconds() => AssertReads(
        """
        fio version 3 iolog
        19 f add
        120 f open
        124 f read 57344 8192
        388 f write 770048 8192
        12258 f sync 491520 0
        12300 f datasync 491520 0
        29823 f close
        """,
        new(124, NbdCommand.Read, 57344, 8192),
        new(388, NbdCommand.Write, 770048, 8192),
        new(12258, NbdCommand.Flush, 0, 0),
        new(12300, NbdCommand.Flush, 0, 0));

    [Fact]
    public void Cambridge_traces_have_ticks() => AssertReads(
        """
        128166372003061629,usr,0,Read,7014609920,24576,41286
        128166372016382155,usr,0,Write,1317441536,8192,1963
        """,
        new(12816637200306162, NbdCommand.Read, 7014609920, 24576),
        new(12816637201638215, NbdCommand.Write, 1317441536, 8192));

    [Fact]
    public void Of_several_devices_one_has_to_be_chosen()
    {
        const string text = "1,usr,0,Read,0,4096,1\n2,usr,1,Write,0,8192,1\n";
        Assert.Contains("usr.0 usr.1", Assert.Throws<FormatException>(() => Parse(text, null).ToList()).Message);
        Assert.Equal([new(0, NbdCommand.Write, 0, 8192)], Parse(text, "usr.1"));
        Assert.Throws<FormatException>(() => Parse(text, "usr.2").ToList());
    }

    [Fact]
    public void A_file_in_gzip_is_unpacked_and_begins_at_its_first_request()
    {
        var path = Path.Combine(Path.GetTempPath(), $"zeroflow-{Guid.NewGuid():N}.csv.gz");
        try
        {
            using (var gzip = new GZipStream(File.Create(path), CompressionLevel.Fastest))
                gzip.Write("timestamp_us,op,offset,length,fua\n7,F,0,0,0\n5,W,0,512,0\n"u8);
            var trace = TraceFile.Load(path);
            Assert.Equal([new(0, NbdCommand.Write, 0, 512), new(2, NbdCommand.Flush, 0, 0)], trace.Records);
            Assert.Equal(512, trace.SpanBytes);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void AssertReads(string text, params TraceRecord[] expected) =>
        Assert.Equal(expected, Parse(text, null));

    private static IEnumerable<TraceRecord> Parse(string text, string? device) =>
        TraceFile.Parse(new MemoryStream(Encoding.UTF8.GetBytes(text)), new DeviceChoice(device));
}
