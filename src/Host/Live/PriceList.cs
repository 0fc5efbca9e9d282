namespace ZeroFlow.Host.Live;

/// <summary>
/// What requests and space cost: by default S3 Standard in us-east-1 as its public price list has had it for years, read
/// from the same region, where transfer is free. Immutable.
/// </summary>
internal sealed record PriceList
{
    /// <summary>What the prices are in; a word that is shown.</summary>
    public string Currency { get; init; } = "USD";

    /// <summary>For a thousand PUT or LIST requests.</summary>
    public double PutsPerThousand { get; init; } = 0.005;

    /// <summary>For a thousand GET requests. DELETE costs nothing.</summary>
    public double GetsPerThousand { get; init; } = 0.0004;

    /// <summary>For a gigabyte (10^9 bytes) over a month of 30 days.</summary>
    public double StorageGigabyteMonth { get; init; } = 0.023;

    /// <summary>For a gigabyte that is read out of the bucket.</summary>
    public double TransferGigabyte { get; init; }
}
