using ZeroFlow.SystemTests.FileSystems;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.StandIns;

// What the witness of the file systems' tests must notice, with a server whose file is changed behind its back.
public sealed class WitnessTests
{
    private const int Sector = 512;
    private const int Sectors = 16384;

    [Fact]
    public async Task It_names_the_sector_that_a_server_has_lost_and_no_other()
    {
        using var folder = new TestFolder();
        var file = await NewDiskAsync(folder);
        await using var server = await ReferenceServer.NbdkitFileAsync(file);
        await using var witness = new Witness(server.Port, Sectors * Sector);
        await using var client = await NbdClient.ConnectAsync(witness.Port, "disk");
        await client.WriteAsync(10 * Sector, Bytes(7, 4 * Sector));
        await client.WriteAsync(11 * Sector, Bytes(8, Sector));
        await witness.Image.CheckAllAsync(server.Port, "disk", "There were");
        Assert.Empty(witness.Image.Contradictions);

        await OverwriteAsync(file, 12, 0);
        await witness.Image.CheckAllAsync(server.Port, "disk", "There were");
        Assert.Equal(["There were zeros and not the answered data in sector 12."], witness.Image.Contradictions);
        Assert.Equal(2, witness.Image.Answered);
    }

    [Fact]
    public async Task It_notices_a_read_that_returns_something_else()
    {
        using var folder = new TestFolder();
        var file = await NewDiskAsync(folder);
        await using var server = await ReferenceServer.NbdkitFileAsync(file);
        await using var witness = new Witness(server.Port, Sectors * Sector);
        await using var client = await NbdClient.ConnectAsync(witness.Port, "disk");
        var data = new byte[2 * Sector];
        await client.ReadAsync(20 * Sector, data);
        Assert.Empty(witness.Image.Contradictions);

        await OverwriteAsync(file, 21, 9);
        await client.ReadAsync(20 * Sector, data);
        Assert.Equal(["A READ found data and not the answered zeros in sector 21."], witness.Image.Contradictions);
    }

    [Fact]
    public async Task A_write_without_an_answer_may_be_there_or_not_but_is_known_once_it_was_looked_at()
    {
        using var folder = new TestFolder();
        var file = await NewDiskAsync(folder);
        await using var server = await ReferenceServer.NbdkitFileAsync(file);
        var image = new WitnessedImage(Sectors * Sector);
        foreach (var sector in new[] { 30, 31 })
        {
            var write = new WitnessedRequest(NbdCommand.Write, sector * Sector, Sector, Bytes(5, Sector));
            image.Begin(write);
            image.Lose(write);
        }

        await OverwriteAsync(file, 30, 5);
        await image.CheckAllAsync(server.Port, "disk", "There were");
        Assert.Empty(image.Contradictions);
        Assert.Equal(2, image.Lost);

        await OverwriteAsync(file, 31, 5);
        await image.CheckAllAsync(server.Port, "disk", "There were");
        Assert.Equal(["There were data and not the answered zeros in sector 31."], image.Contradictions);
    }

    [Fact]
    public void Two_writes_at_once_to_one_place_leave_it_in_doubt_until_the_next()
    {
        var image = new WitnessedImage(Sectors * Sector);
        WitnessedRequest Write(byte value) => new(NbdCommand.Write, 0, Sector, Bytes(value, Sector));
        var read = new WitnessedRequest(NbdCommand.Read, 0, Sector, []);
        WitnessedRequest[] both = [Write(1), Write(2)];
        foreach (var write in both) image.Begin(write);
        foreach (var write in both) image.Complete(write, succeeded: true);
        image.Check(read, 0, Bytes(1, Sector));
        Assert.Empty(image.Contradictions);

        var next = Write(3);
        image.Begin(next);
        image.Complete(next, succeeded: true);
        image.Check(read, 0, Bytes(1, Sector));
        Assert.Single(image.Contradictions);
    }

    private static byte[] Bytes(byte value, int count) => [.. Enumerable.Repeat(value, count)];

    private static async Task<string> NewDiskAsync(TestFolder folder)
    {
        var file = folder["disk"];
        await File.WriteAllBytesAsync(file, new byte[Sectors * Sector]);
        return file;
    }

    private static async Task OverwriteAsync(string file, int sector, byte value)
    {
        await using var stream = new FileStream(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        stream.Position = sector * Sector;
        await stream.WriteAsync(Bytes(value, Sector), TestContext.Current.CancellationToken);
    }
}
