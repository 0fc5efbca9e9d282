using Xunit;
using ZeroFlow.Stages.Journal;
using ZeroFlow.TestKit.Journal;

namespace ZeroFlow.Stages.Tests.Journal;

// Goal: wherever in a page a file ends, it keeps what it has, byte for byte, and the next one begins as the first did.
public sealed class FasterSegmentLogTests
{
    private const int PageBytes = 512 * 1024;

    [Theory]
    [InlineData(0, 2 * PageBytes)]
    [InlineData(4, 2 * PageBytes)]
    [InlineData(8, 2 * PageBytes)]
    [InlineData(5000, 2 * PageBytes)]
    [InlineData(PageBytes - 4096, 2 * PageBytes)]
    [InlineData(5000, (2 * PageBytes) + 4096)]
    [InlineData(PageBytes - 5000, PageBytes + 8192)]
    public async Task Files_keep_what_they_have_when_the_log_goes_on_in_another(int rest, int fileBytes)
    {
        var disk = new SimulatedWalDisk();
        using var log = new FasterSegmentLog(PageBytes);
        var random = new Random(rest);
        IWalFile? before = null;
        byte[] image = [];
        for (int number = 0; number < 3; number++)
        {
            IWalFile file = disk.Create($"{number}", fileBytes);
            log.Begin(file);
            if (before is not null) Assert.Equal(image, BytesOf(before));
            List<(long Offset, byte[] Entry)> entries = Fill(log, random, PageBytes - rest);
            await log.WriteOutAsync();
            if (before is not null) Assert.Equal(image, BytesOf(before));

            before = file;
            image = BytesOf(file);
            Assert.Equal(FasterSegmentLog.FirstAddress, entries[0].Offset);
            Assert.Equal(PageBytes - rest, log.TailAddress);
            foreach (var (offset, entry) in entries)
            {
                int at = (int)offset;
                Assert.Equal(entry.Length, BitConverter.ToInt32(image, at));
                Assert.Equal(entry, image[(at + FasterSegmentLog.EntryHeaderBytes)..][..entry.Length]);
            }
        }
    }

    // Entries up to exactly this offset.
    private static List<(long Offset, byte[] Entry)> Fill(FasterSegmentLog log, Random random, int end)
    {
        List<(long Offset, byte[] Entry)> entries = [];
        for (int at = (int)FasterSegmentLog.FirstAddress; at < end;)
        {
            int room = end - at - FasterSegmentLog.EntryHeaderBytes;
            int length = Math.Min(room, 4 * random.Next(1, 5000));
            if (room - length < FasterSegmentLog.EntryHeaderBytes + 4) length = room;
            byte[] entry = new byte[length];
            random.NextBytes(entry);
            Assert.True(log.HasRoomFor(FasterSegmentLog.EntryBytes(length)));
            entries.Add((log.Enqueue(entry), entry));
            at += FasterSegmentLog.EntryBytes(length);
        }

        return entries;
    }

    private static byte[] BytesOf(IWalFile file)
    {
        byte[] bytes = new byte[file.Length];
        Assert.Equal(bytes.Length, file.Read(0, bytes));
        return bytes;
    }
}
